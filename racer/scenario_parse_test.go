package racer

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// parse builds a network from a scenario's head. A line is one of
//
//	# prose
//	two.example AAAA after 20ms: 2001:db8::1 2001:db8::2
//	two.example A after 30ms: not_found
//	two.example A never
//	192.0.2.1:443 connects after 20ms, then refuses after 1ms
//	192.0.2.2:443 silent
//	192.0.2.3:443 cannot start: EMFILE
//	192.0.2.4:443 fails after 1ms: ENETUNREACH
//	no source for 2001:db8::/32
//
// A word it does not know is an error.
func (n *network) parse(text string) error {
	for i, line := range strings.Split(text, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := n.line(line); err != nil {
			return fmt.Errorf("line %d: %s: %w", i+1, line, err)
		}
	}
	return nil
}

func (n *network) line(line string) error {
	if prefix, ok := strings.CutPrefix(line, "no source for "); ok {
		p, err := netip.ParsePrefix(prefix)
		n.unrouted = append(n.unrouted, p)
		return err
	}
	head, rest, _ := strings.Cut(line, " ")
	endpoint, err := netip.ParseAddrPort(head)
	if err != nil {
		return n.name(head, rest)
	}
	for _, words := range strings.Split(rest, ", then ") {
		h, err := parseHost(words)
		if err != nil {
			return err
		}
		n.hosts[endpoint] = append(n.hosts[endpoint], h)
	}
	return nil
}

// name reads what follows the name in "two.example AAAA after 20ms: ...".
func (n *network) name(name, rest string) error {
	word, rest, _ := strings.Cut(rest, " ")
	t, err := named(word, sched.A, sched.AAAA)
	if err != nil {
		return err
	}
	if rest == "never" {
		n.names[sched.Question{Name: name, Type: t}] = reply{never: true}
		return nil
	}
	when, found, _ := strings.Cut(strings.TrimPrefix(rest, "after "), ": ")
	after, err := time.ParseDuration(when)
	if err != nil {
		return err
	}
	if status, err := named(found, sched.NotFound, sched.Broken); err == nil {
		n.answers(name, t, after, status)
		return nil
	}
	addrs := strings.Fields(found)
	for _, a := range addrs {
		if _, err := netip.ParseAddr(a); err != nil {
			return err
		}
	}
	n.resolves(name, t, after, addrs...)
	return nil
}

var errnos = map[string]syscall.Errno{
	"EMFILE": syscall.EMFILE, "ENETUNREACH": syscall.ENETUNREACH, "EHOSTUNREACH": syscall.EHOSTUNREACH,
}

func parseHost(words string) (host, error) {
	if words == "silent" {
		return silent, nil
	}
	if name, ok := strings.CutPrefix(words, "cannot start: "); ok && errnos[name] != 0 {
		return unable(errnos[name]), nil
	}
	verb, rest, _ := strings.Cut(words, " after ")
	when, why, _ := strings.Cut(rest, ": ")
	after, err := time.ParseDuration(when)
	switch {
	case err != nil:
		return host{}, err
	case verb == "connects":
		return connects(after), nil
	case verb == "refuses":
		return refuses(after), nil
	case verb == "fails" && errnos[why] != 0:
		return fails(errnos[why], after), nil
	}
	return host{}, unknown(words)
}

// call is a request in words:
//
//	race two.example:443 strategy=sequential attempt-timeout=500ms
//	race 192.0.2.1:443(east){rtt=20ms} 192.0.2.2:443{past=90ms,110ms} backups=0
//	probe 192.0.2.1:443(east) 192.0.2.2:443(west) rounds=3
//
// One endpoint is a target's name; several, or one of which more is said, are
// candidates.
type call struct {
	method    string
	target    Target
	selection Selection
	options   Options
	rounds    int
	interval  time.Duration
	deadline  time.Duration // of the context
}

func (c *call) probe() ProbeRequest {
	return ProbeRequest{
		Target: c.target, Selection: c.selection, Rounds: c.rounds, Interval: c.interval,
		Options: ProbeOptions{AttemptTimeout: c.options.AttemptTimeout, Timeout: c.options.Timeout, MaxInFlight: c.options.MaxInFlight},
	}
}

func parseCall(words string) (*call, error) {
	fields := strings.Fields(words)
	c := &call{method: fields[0]}
	if !slices.Contains([]string{"race", "rank", "probe"}, c.method) {
		return nil, unknown(c.method)
	}
	for _, word := range fields[1:] {
		if key, value, ok := strings.Cut(word, "="); ok && !strings.Contains(key, ":") {
			if err := c.set(key, value); err != nil {
				return nil, err
			}
			continue
		}
		spec, err := parseSpec(word)
		if err != nil {
			return nil, err
		}
		c.target.Candidates = append(c.target.Candidates, spec)
	}
	if cs := c.target.Candidates; len(cs) == 1 && reflect.DeepEqual(cs[0], CandidateSpec{Endpoint: cs[0].Endpoint}) {
		c.target = Target{Name: cs[0].Endpoint}
	}
	return c, nil
}

// parseSpec reads "192.0.2.1:443(label){rtt=20ms}", of which only the endpoint
// must be there.
func parseSpec(word string) (CandidateSpec, error) {
	head, known, hinted := strings.Cut(strings.TrimSuffix(word, "}"), "{")
	var spec CandidateSpec
	spec.Endpoint, spec.Label, _ = strings.Cut(strings.TrimSuffix(head, ")"), "(")
	if !hinted {
		return spec, nil
	}
	key, value, _ := strings.Cut(known, "=")
	var times []time.Duration
	for _, v := range strings.Split(value, ",") {
		d, err := time.ParseDuration(v)
		if err != nil {
			return spec, err
		}
		times = append(times, d)
	}
	switch {
	case key == "past":
		spec.PastConnects = times
	case key == "rtt" && len(times) == 1:
		spec.ExpectedRTT = times[0]
	default:
		return spec, unknown(known)
	}
	return spec, nil
}

func (c *call) set(key, value string) error {
	d, durationErr := time.ParseDuration(value)
	i, numberErr := strconv.Atoi(value)
	f, familyErr := named(value, addrsel.FamilyIPv4, addrsel.FamilyIPv6)
	s, strategyErr := named(value, everyStrategy...)
	v, versionErr := named(value, sched.V2, sched.V3)
	x, factorErr := strconv.ParseFloat(value, 64)
	for _, known := range []struct {
		key string
		err error
		set func()
	}{
		{"strategy", strategyErr, func() { c.options.Strategy = s }},
		{"attempt-delay", durationErr, func() { c.options.AttemptDelay = &d }},
		{"version", versionErr, func() { c.options.Version = v }},
		{"multiplier", factorErr, func() { c.options.DelayMultiplier = x }},
		{"quantile", factorErr, func() { c.options.Quantile = x }},
		{"backups", numberErr, func() { c.options.MaxBackups = &i }},
		{"grace", durationErr, func() { c.options.Grace = d }},
		{"attempt-timeout", durationErr, func() { c.options.AttemptTimeout = d }},
		{"timeout", durationErr, func() { c.options.Timeout = d }},
		{"max-in-flight", numberErr, func() { c.options.MaxInFlight = i }},
		{"resolution-delay", durationErr, func() { c.selection.ResolutionDelay = &d }},
		{"only", familyErr, func() { c.selection.OnlyFamily = f }},
		{"prefer", familyErr, func() { c.selection.PreferredFamily = f }},
		{"first-family-count", numberErr, func() { c.selection.FirstFamilyCount = i }},
		{"max-per-answer", numberErr, func() { c.selection.MaxAddressesPerAnswer = i }},
		{"rounds", numberErr, func() { c.rounds = i }},
		{"interval", durationErr, func() { c.interval = d }},
		{"deadline", durationErr, func() { c.deadline = d }},
	} {
		if known.key == key {
			known.set()
			return known.err
		}
	}
	return unknown(key)
}

// everyStrategy is every one there is.
var everyStrategy = []sched.Strategy{
	sched.Staggered, sched.Sequential, sched.AllAtOnce, sched.FirstThenAll, sched.FamilyFallback, sched.Adaptive,
}

// named returns the value that calls itself word.
func named[T fmt.Stringer](word string, values ...T) (T, error) {
	for _, v := range values {
		if v.String() == word {
			return v, nil
		}
	}
	var zero T
	return zero, unknown(word)
}

var errUnknownWord = errors.New("unknown word")

func unknown(word string) error { return fmt.Errorf("%w %q", errUnknownWord, word) }

// TestScenarioWordsAreChecked: a slip of the pen must not go unnoticed.
func TestScenarioWordsAreChecked(t *testing.T) {
	for _, line := range []string{
		"two.example MX after 1ms: 192.0.2.1",
		"two.example A after 1: 192.0.2.1",
		"two.example A after 1ms: nothing",
		"192.0.2.1:443 sleeps",
		"192.0.2.1:443 connects after ages",
		"192.0.2.1:443 cannot start: EWHAT",
		"192.0.2.1:443 silent, then dances after 1ms",
		"no source for me",
	} {
		if err := newNetwork(t).parse(line); err == nil {
			t.Errorf("%q is accepted", line)
		}
	}
	for _, words := range []string{
		"run a.example:1", "race a.example:1 luck=1", "race a.example:1 timeout=5", "race a.example:1 version=v4",
		"race a.example:1{luck=1ms}", "race a.example:1{rtt=1}", "race a.example:1{rtt=1ms,2ms}",
	} {
		if _, err := parseCall(words); err == nil {
			t.Errorf("%q is accepted", words)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
