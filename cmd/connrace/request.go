package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/connrace/connrace/client"
)

// maxRequestBytes is what a daemon takes. More its transport refuses, in words of its own.
const maxRequestBytes = 512 << 10

// checkSize refuses what no daemon takes. Labels and past connects of many candidates
// may come to so much.
func checkSize(req proto.Message) error {
	if n := proto.Size(req); n > maxRequestBytes {
		return usage(fmt.Sprintf("the request has %d bytes; allowed are %d: give fewer candidates at a time, or say less of each", n, maxRequestBytes))
	}
	return nil
}

// invalidRequest lists what is wrong with a request, in the words of the command
// line.
func invalidRequest(failed *client.Error) error {
	if len(failed.Fields) == 0 {
		return errors.New(failed.Status.Message())
	}
	if len(failed.Fields) == 1 {
		return errors.New(describeField(failed.Fields[0]))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d things are wrong", len(failed.Fields))
	for _, v := range failed.Fields {
		b.WriteString("\n  " + describeField(v))
	}
	return errors.New(b.String())
}

// describeField says what is wrong; descriptions begin with the field's name.
func describeField(v client.FieldViolation) string {
	what := strings.TrimPrefix(v.Description, v.Field+" ")
	return flagOf(v.Field) + " " + printable(inFlags(what))
}

// inFlags puts the flags into a sentence that names fields of a request.
func inFlags(sentence string) string {
	return fieldPath.ReplaceAllStringFunc(sentence, func(field string) string {
		switch {
		case field == "selection.only_family" && strings.HasPrefix(sentence, "is ipv6"):
			return "--ipv4-only"
		case field == "selection.only_family" && strings.HasPrefix(sentence, "is ipv4"):
			return "--ipv6-only"
		}
		return flagOf(field)
	})
}

var fieldPath = regexp.MustCompile(`\b(selection|options)(\.[a-z][a-z_]*)+`)

// flagOf returns what sets a field of a request on the command line.
func flagOf(field string) string {
	switch field {
	case "target":
		return "the target"
	case "candidates":
		return "the list of candidates"
	case "selection.only_family":
		return "--ipv4-only or --ipv6-only"
	case "selection.preferred_family":
		return "--prefer"
	case "selection.first_address_family_count":
		return "--first-family-count"
	case "selection.max_addresses_per_answer":
		return "--max-addresses"
	case "options.attempt_delay_multiplier":
		return "--delay-multiplier"
	case "options.adaptive_quantile":
		return "--quantile"
	case "options.max_backup_attempts":
		return "--max-backups"
	case "options.version":
		return "--happy-eyeballs"
	}
	whole, _, _ := strings.Cut(field, "[") // an element of a list
	if name, ok := mannerFlags[whole]; ok && strings.HasPrefix(field, "options.") {
		return name
	}
	var index int
	if n, _ := fmt.Sscanf(field, "candidates[%d]", &index); n == 1 {
		return candidateArg(index, field)
	}
	name := field[strings.LastIndexByte(field, '.')+1:]
	return "--" + strings.ReplaceAll(name, "_", "-")
}

// mannerFlags set the fields of options.criterion and options.source, and what else is
// called differently on the command line.
var mannerFlags = map[string]string{
	"options.criterion":                           "--http or --grpc-health or --first-byte",
	"options.criterion.tls.server_name":           "--server-name",
	"options.criterion.tls.root_certificates_pem": "--ca-file",
	"options.criterion.tls.alpn_protocols":        "--alpn",
	"options.criterion.http":                      "--http",
	"options.criterion.http.method":               "--http-method",
	"options.criterion.http.path":                 "--http",
	"options.criterion.http.host":                 "--http-host",
	"options.criterion.http.success_statuses":     "--http-status",
	"options.criterion.grpc_health":               "--grpc-health",
	"options.criterion.grpc_health.service":       "--grpc-health",
	"options.criterion.grpc_health.authority":     "--grpc-health",
	"options.criterion.first_byte":                "--first-byte",
	"options.source":                              "--bind",
	"options.source.bind_addresses":               "--bind",
}

// candidateArg counts arguments from 1, and what is in them too.
func candidateArg(index int, field string) string {
	what := fmt.Sprintf("candidate %d", index+1)
	_, part, _ := strings.Cut(field, "].")
	var past int
	if n, _ := fmt.Sscanf(part, "past_connect_durations[%d]", &past); n == 1 {
		return fmt.Sprintf("past connect %d of %s", past+1, what)
	}
	switch part {
	case "label":
		return "the label of " + what
	case "expected_rtt":
		return "the round-trip time of " + what
	case "past_connect_durations":
		return "the list of past connects of " + what
	}
	return what
}

// cause is the end of gRPC's message, where the operating system's error is.
func cause(failed *client.Error) string {
	message := failed.Status.Message()
	if strings.Contains(message, "error reading server preface") && strings.Contains(message, "use of closed network connection") {
		return fmt.Sprintf("something takes the connection there and says nothing within %v", connectTimeout)
	}
	if _, after, found := strings.Cut(message, "Error while dialing: "); found {
		message = strings.TrimSuffix(after, `"`)
	}
	return message
}
