package server

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/connrace/connrace/internal/admit"
	"github.com/connrace/connrace/internal/connect/stage"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
)

func reference(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// row returns the cells of a table's row.
func row(page, first string) []string {
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) > 3 && (cells[1] == first || cells[2] == first) {
			return cells
		}
	}
	return nil
}

// What docs/reference.md says of limits is what the code has.
func TestReferenceLimits(t *testing.T) {
	t.Parallel()
	page := reference(t)
	for option, says := range map[string]string{
		"options.criterion.tls.server_name":           fmt.Sprintf("at most %d characters", stage.MaxNameLength),
		"options.criterion.tls.alpn_protocols":        fmt.Sprintf("at most %d, each of 1 to %d bytes", stage.MaxALPN, stage.MaxALPNLength),
		"options.criterion.tls.root_certificates_pem": fmt.Sprintf("at most %d certificates, at most %d bytes", stage.MaxRoots, stage.MaxRootsLength),
		"options.criterion.http.path":                 fmt.Sprintf("at most %d bytes", stage.MaxPathLength),
		"options.criterion.http.host":                 fmt.Sprintf("at most %d characters", stage.MaxHostLength),
		"options.criterion.http.success_statuses":     fmt.Sprintf("101 and 200 to 599, at most %d", stage.MaxStatuses),
		"options.criterion.grpc_health.service":       fmt.Sprintf("at most %d bytes", stage.MaxServiceLength),
		"options.source.interface":                    "at most 15 bytes",
		"options.source.dscp":                         fmt.Sprintf("0 to %d", racer.MaxDSCP),
		"caller_key":                                  fmt.Sprintf("at most %d characters", racer.MaxCallerLength),
	} {
		cells := row(page, option)
		if len(cells) < 6 || !strings.Contains(cells[4], says) {
			t.Errorf("docs/reference.md says of %s: %q, want %q", option, cells, says)
		}
	}
	for _, says := range []string{
		fmt.Sprintf("to %d.", admit.MaxLimit), fmt.Sprintf("| --waiting | %d |", admit.DefaultWaiting),
		fmt.Sprintf("(%d ms to %d s,", admit.MinRetryAfter.Milliseconds(), int(admit.MaxRetryAfter.Seconds())),
		"the daemon needs CAP_NET_ADMIN, or CAP_NET_RAW from Linux 5.17 on",      // the failure says so too
		"Nor to port 0: a request that has it is refused with INVALID_ARGUMENT.", // and is not skipped: TestBadTargets
		"Every error of RacerService carries a google.rpc.ErrorInfo",             // and health does not: TestHealth
	} {
		if !strings.Contains(page, says) {
			t.Errorf("docs/reference.md does not say %q", says)
		}
	}
}

// Every field of the options, every stage, every reason to wait and every reason of an
// error is told of.
func TestReferenceIsComplete(t *testing.T) {
	t.Parallel()
	page := reference(t)
	for _, m := range []protoreflect.Message{
		new(connracev1.SuccessCriterion).ProtoReflect(), new(connracev1.TlsCheck).ProtoReflect(), new(connracev1.HttpCheck).ProtoReflect(),
		new(connracev1.GrpcHealthCheck).ProtoReflect(), new(connracev1.SourceOptions).ProtoReflect(), new(connracev1.RaceOptions).ProtoReflect(),
	} {
		fields := m.Descriptor().Fields()
		for i := range fields.Len() {
			if name := string(fields.Get(i).Name()); !strings.Contains(page, name) {
				t.Errorf("docs/reference.md says nothing of %s", fields.Get(i).FullName())
			}
		}
	}
	for _, e := range []protoreflect.Enum{connracev1.PhaseKind(0), connracev1.DeferReason(0)} {
		values := e.Descriptor().Values()
		for i := 1; i < values.Len(); i++ {
			name := string(values.Get(i).Name())
			if !strings.Contains(page, name[len(prefix(e)):]) {
				t.Errorf("docs/reference.md says nothing of %s", name)
			}
		}
	}
	for _, reason := range []string{
		reasonInvalid, reasonNotWon, reasonNotRanked, reasonNotReachable, reasonShuttingDown, reasonCallerLeft, reasonOverloaded, reasonInternal,
	} {
		if !strings.Contains(page, reason) {
			t.Errorf("docs/reference.md says nothing of %s", reason)
		}
	}
}

// prefix is what the values of an enum begin with.
func prefix(e protoreflect.Enum) string {
	return strings.TrimSuffix(string(e.Descriptor().Values().Get(0).Name()), "UNSPECIFIED")
}

// Every word that a failure may have, and that of every ICMP message, is told of.
func TestReferenceWords(t *testing.T) {
	t.Parallel()
	page := reference(t)
	paths, err := filepath.Glob("../internal/connect/stage/*.go")
	if err != nil {
		t.Fatal(err)
	}
	paths = append(paths, "../internal/connect/classify.go", "../internal/connect/icmp.go")
	found := 0
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, word := range failureWords(t, path) {
			found++
			if !strings.Contains(page, word) {
				t.Errorf("docs/reference.md says nothing of %s, of %s", word, path)
			}
		}
	}
	const least = 60 // there were when this was written
	if found < least {
		t.Errorf("%d words found, want %d at least", found, least)
	}
}

// failureWords are the values of Type in a file's literals, the third ones of those
// without names, and what ICMP's types and codes stand for.
func failureWords(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			_, icmp := n.Key.(*ast.CompositeLit)
			if key, ok := n.Key.(*ast.Ident); icmp || ok && key.Name == "Type" {
				words = append(words, text(n.Value)...)
			}
		case *ast.CompositeLit:
			if len(n.Elts) == 5 { // errno, its name, the word, the fault, a sentence
				words = append(words, text(n.Elts[2])...)
			}
		}
		return true
	})
	return words
}

// text is that of a literal, or none.
func text(e ast.Expr) []string {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return nil
	}
	word, err := strconv.Unquote(literal.Value)
	if err != nil {
		return nil
	}
	return []string{word}
}
