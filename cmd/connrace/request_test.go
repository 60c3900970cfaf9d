package main

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// Every field a daemon may complain about has a name on the command line.
func TestFlagOf(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		"target":                                  "the target",
		"candidates":                              "the list of candidates",
		"candidates[0].endpoint":                  "candidate 1",
		"candidates[41].label":                    "the label of candidate 42",
		"candidates[1].expected_rtt":              "the round-trip time of candidate 2",
		"candidates[1].past_connect_durations":    "the list of past connects of candidate 2",
		"candidates[0].past_connect_durations[2]": "past connect 3 of candidate 1",
		"rounds":                               "--rounds",
		"interval":                             "--interval",
		"options.strategy":                     "--strategy",
		"options.attempt_delay":                "--attempt-delay",
		"options.attempt_timeout":              "--attempt-timeout",
		"options.timeout":                      "--timeout",
		"options.max_in_flight":                "--max-in-flight",
		"options.version":                      "--happy-eyeballs",
		"options.attempt_delay_multiplier":     "--delay-multiplier",
		"options.adaptive_quantile":            "--quantile",
		"options.max_backup_attempts":          "--max-backups",
		"options.grace":                        "--grace",
		"selection.only_family":                "--ipv4-only or --ipv6-only",
		"selection.preferred_family":           "--prefer",
		"selection.resolution_delay":           "--resolution-delay",
		"selection.first_address_family_count": "--first-family-count",
		"selection.max_addresses_per_answer":   "--max-addresses",
	} {
		if got := flagOf(field); got != want {
			t.Errorf("flagOf(%q) is %q, want %q", field, got, want)
		}
	}
}

// What flagOf calls a field's flag is one that the command has, for every field of
// the options.
func TestFlagOfIsAFlag(t *testing.T) {
	t.Parallel()
	race := parsedFlags(t, "race", "a.example:1")
	probe := parsedFlags(t, "probe", "a.example:1")
	for _, c := range []struct {
		prefix  string
		options proto.Message
		flags   []string
	}{
		{"options.", new(pb.RaceOptions), race},
		{"options.", new(pb.ProbeOptions), probe},
		{"selection.", new(pb.SelectionOptions), race},
	} {
		for _, field := range fieldsOf(c.prefix, c.options.ProtoReflect().Descriptor()) {
			for flag := range strings.SplitSeq(flagOf(field), " or ") {
				if !slices.Contains(c.flags, flag) {
					t.Errorf("%s is said to be %s, which does not exist", field, flag)
				}
			}
		}
	}
}

// A request is refused here from the size on from which a daemon's transport does it: in
// the words of the command line, and with its exit code.
func TestCheckSize(t *testing.T) {
	t.Parallel()
	daemon, stop, err := startDaemon(netip.AddrPort{}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	most := &pb.RaceRequest{Target: "127.0.0.1:1"}
	most.CallerKey = strings.Repeat("k", maxRequestBytes-proto.Size(most)-len("_xxx")) // its tag, and its length in three bytes
	more := proto.CloneOf(most)
	more.CallerKey += "k"
	if n := proto.Size(most); n != maxRequestBytes {
		t.Fatalf("the request has %d bytes, want %d", n, maxRequestBytes)
	}
	if err := checkSize(most); err != nil {
		t.Error(err)
	}
	if _, err := daemon.Race(t.Context(), most); status.Code(err) != codes.InvalidArgument {
		t.Errorf("of the largest request a daemon says %v, want what is wrong with the key", err)
	}
	exit, ok := errors.AsType[*exitError](checkSize(more))
	if !ok || exit.code != exitUsage || !strings.HasPrefix(exit.Error(), "the request has 524289 bytes; allowed are 524288: ") {
		t.Errorf("of a larger one is said %v", exit)
	}
	if _, err := daemon.Race(t.Context(), more); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("of a larger one a daemon says %v, want that it is too large", err)
	}
}

// All commands that ask look at the size of what they ask.
func TestRequestThatIsTooLarge(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("l", 100<<10) + "=127.0.0.1:1"
	for _, command := range []string{"race", "rank", "probe", "watch"} {
		var stdout, stderr strings.Builder
		got := run(t.Context(), append([]string{command}, slices.Repeat([]string{label}, 6)...), &stdout, &stderr)
		if got != exitUsage || !strings.HasPrefix(stderr.String(), "connrace: the request has 6") || stdout.Len() > 0 {
			t.Errorf("%s: exit code %d, %q, %q", command, got, stdout.String(), stderr.String())
		}
	}
}

// A sentence that names other fields names their flags.
func TestInFlags(t *testing.T) {
	t.Parallel()
	for sentence, want := range map[string]string{
		"is ipv6, which selection.only_family leaves out; drop one of the two":  "is ipv6, which --ipv4-only leaves out; drop one of the two",
		"is ipv4, which selection.only_family leaves out; drop one of the two":  "is ipv4, which --ipv6-only leaves out; drop one of the two",
		"needs options.criterion.tls.server_name, options.max_backup_attempts.": "needs --server-name, --max-backups.",
		"is \"other.options\" and no options":                                   "is \"other.options\" and no options",
	} {
		if got := inFlags(sentence); got != want {
			t.Errorf("%q became %q, want %q", sentence, got, want)
		}
	}
}

// fieldsOf are the paths of all fields of a message and of the messages in it; a list
// stands for its second element too.
func fieldsOf(prefix string, m protoreflect.MessageDescriptor) []string {
	var paths []string
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		path := prefix + string(f.Name())
		paths = append(paths, path)
		if f.IsList() {
			paths = append(paths, path+"[1]")
		}
		if inner := f.Message(); inner != nil && inner.ParentFile().Package() == m.ParentFile().Package() {
			paths = append(paths, fieldsOf(path+".", inner)...)
		}
	}
	return paths
}

// parsedFlags are the flags of the command that args select.
func parsedFlags(t *testing.T, args ...string) []string {
	t.Helper()
	command, _, err := parse(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var flags []string
	for _, flag := range command.Flags() {
		flags = append(flags, "--"+flag.Name)
	}
	return flags
}
