package sched

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// scenario is a parsed file.
type scenario struct {
	world  world
	expect result
}

// parseScenario reads the part above the transcript. A line is one of
//
//	# prose
//	strategy=sequential attempt-delay=100ms
//	ask AAAA A
//	AAAA after 20ms: [2001:db8::1]:443 [2001:db8::2]:443
//	A after 30ms: not_found
//	given: 192.0.2.1:443 192.0.2.2:443(denied) 192.0.2.3:443(family) 192.0.2.4:443(place=2)
//	192.0.2.1:443 starts late by 3ms, connects after 20ms, cancels after 5ms
//	stop at 300ms deadline_near
//	asleep from 15ms to 25ms
//	expect starts: 0 at 0s, 1 at 250ms
//
// A word it does not know is an error. Parameters that are not set have the
// values of Default.
func parseScenario(text string) (*scenario, error) {
	s := &scenario{world: world{cfg: Default(), endpoints: map[netip.AddrPort]behaviour{}}}
	for n, line := range strings.Split(text, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := s.line(line); err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", n+1, line, err)
		}
	}
	for endpoint := range s.world.endpoints {
		if !s.finds(endpoint) {
			return nil, fmt.Errorf("no answer has %v", endpoint)
		}
	}
	return s, nil
}

func (s *scenario) line(line string) error {
	head, rest, _ := strings.Cut(line, " ")
	switch {
	case strings.Contains(head, "="):
		return s.parameters(line)
	case head == "ask":
		return s.ask(rest)
	case head == "given:":
		return s.answer(NoQuestion, 0, rest)
	case head == "stop":
		return s.stop(rest)
	case head == "asleep":
		return s.asleep(rest)
	case head == "expect":
		return s.expectation(rest)
	case slices.Contains(recordTypeNames[A:], head):
		return s.answered(head, rest)
	}
	return s.endpoint(head, rest)
}

func (s *scenario) parameters(line string) error {
	for _, word := range strings.Fields(line) {
		key, value, _ := strings.Cut(word, "=")
		if err := setParameter(&s.world.cfg, key, value); err != nil {
			return err
		}
	}
	return nil
}

func setParameter(c *Config, key, value string) (err error) {
	switch key {
	case "goal":
		c.Goal, err = named[Goal]([]string{"first", "every", "order"}, value)
	case "strategy":
		c.Strategy, err = named[Strategy](strategyNames, value)
	case "attempt-delay":
		c.AttemptDelay, err = time.ParseDuration(value)
	case "resolution-delay":
		c.ResolutionDelay, err = time.ParseDuration(value)
	case "attempt-timeout":
		c.AttemptTimeout, err = time.ParseDuration(value)
	case "timeout":
		c.Timeout, err = time.ParseDuration(value)
	case "max-in-flight":
		c.MaxInFlight, err = strconv.Atoi(value)
	case "max-per-answer":
		c.MaxPerAnswer, err = strconv.Atoi(value)
	case "prefer":
		c.Ranking.PreferredFamily, err = named[addrsel.Family]([]string{"any", "ipv4", "ipv6"}, value)
	case "only-routed":
		c.OnlyRouted, err = named[addrsel.Family]([]string{"any", "ipv4", "ipv6"}, value)
	case "first-family-count":
		c.Ranking.FirstFamilyCount, err = strconv.Atoi(value)
	default:
		err = unknown(key)
	}
	return err
}

func (s *scenario) ask(types string) error {
	for _, word := range strings.Fields(types) {
		t, err := named[RecordType](recordTypeNames, word)
		if err != nil {
			return err
		}
		s.world.cfg.Questions = append(s.world.cfg.Questions, Question{Name: "example.com", Type: t})
	}
	return nil
}

// answered reads what follows the type in "AAAA after 20ms: ...".
func (s *scenario) answered(typ, rest string) error {
	t, err := named[RecordType](recordTypeNames, typ)
	if err != nil {
		return err
	}
	question := slices.IndexFunc(s.world.cfg.Questions, func(q Question) bool { return q.Type == t })
	if question < 0 {
		return fmt.Errorf("%s is not asked for", typ)
	}
	when, found, ok := strings.Cut(rest, ": ")
	if !ok {
		return unknown(rest)
	}
	after, err := phrase(when, "after ")
	if err != nil {
		return err
	}
	return s.answer(question, after, found)
}

func (s *scenario) answer(question int, after time.Duration, words string) error {
	a := answer{question: question, after: after}
	for _, word := range strings.Fields(words) {
		if status, err := named[Answer](answerNames, word); err == nil {
			a.status = status
			continue
		}
		c, err := parseCandidate(word)
		if err != nil {
			return err
		}
		a.found = append(a.found, c)
	}
	if (a.status == Positive) != (len(a.found) > 0) {
		return fmt.Errorf("an answer has addresses or it is not positive")
	}
	s.world.answers = append(s.world.answers, a)
	return nil
}

// parseCandidate reads an endpoint with an optional remark. All candidates of a
// family are the same to RFC 6724, so they keep their order.
func parseCandidate(word string) (c Candidate, err error) {
	endpoint, remark, _ := strings.Cut(strings.TrimSuffix(word, ")"), "(")
	place, placed := strings.CutPrefix(remark, "place=")
	switch {
	case remark == "":
	case remark == "denied":
		c.Skip = SkipDenied
	case remark == "family":
		c.Skip = SkipFamily
	case placed:
		if c.Place, err = strconv.Atoi(place); err != nil {
			return c, err
		}
	default:
		return c, unknown(remark)
	}
	c.Endpoint, err = netip.ParseAddrPort(endpoint)
	c.Source = sourceFor(c.Endpoint.Addr())
	return c, err
}

func sourceFor(a netip.Addr) netip.Addr {
	if a.Unmap().Is4() {
		return netip.MustParseAddr("192.0.2.99")
	}
	return netip.MustParseAddr("2001:db8::99")
}

func (s *scenario) stop(rest string) error {
	when, why, _ := strings.Cut(strings.TrimPrefix(rest, "at "), " ")
	at, err := time.ParseDuration(when)
	if err != nil {
		return err
	}
	end, err := named[EndReason](endNames, why)
	s.world.stops = append(s.world.stops, stop{at: at, why: end})
	return err
}

func (s *scenario) asleep(rest string) error {
	from, to, _ := strings.Cut(rest, " to ")
	start, err := phrase(from, "from ")
	if err != nil {
		return err
	}
	end, err := time.ParseDuration(to)
	s.world.naps = append(s.world.naps, nap{from: start, to: end})
	return err
}

func (s *scenario) expectation(rest string) error {
	what, value, _ := strings.Cut(rest, ": ")
	switch what {
	case "starts":
		s.expect.starts = value
	case "winner":
		s.expect.winner = value
	case "end":
		s.expect.end = value
	default:
		return unknown(what)
	}
	return nil
}

func (s *scenario) endpoint(word, phrases string) error {
	endpoint, err := netip.ParseAddrPort(word)
	if err != nil {
		return unknown(word)
	}
	var b behaviour
	for _, p := range strings.Split(phrases, ", ") {
		if err := b.learn(p); err != nil {
			return err
		}
	}
	s.world.endpoints[endpoint] = b
	return nil
}

// learn adds one phrase to what an endpoint does.
func (b *behaviour) learn(words string) (err error) {
	switch {
	case words == "silent":
	case words == "fails to start":
		b.unable = true
	case words == "connects although cancelled":
		b.stubborn = true
	case strings.HasPrefix(words, "connects after "):
		b.outcome = Connected
		b.after, err = phrase(words, "connects after ")
	case strings.HasPrefix(words, "refuses after "):
		b.outcome = Failed
		b.after, err = phrase(words, "refuses after ")
	case strings.HasPrefix(words, "starts late by "):
		b.late, err = phrase(words, "starts late by ")
	case strings.HasPrefix(words, "cancels after "):
		b.confirm, err = phrase(words, "cancels after ")
	default:
		err = unknown(words)
	}
	return err
}

func (s *scenario) finds(endpoint netip.AddrPort) bool {
	return slices.ContainsFunc(s.world.answers, func(a answer) bool {
		return slices.ContainsFunc(a.found, func(c Candidate) bool { return unmapped(c.Endpoint) == endpoint })
	})
}

// phrase reads the duration behind a prefix.
func phrase(words, prefix string) (time.Duration, error) {
	value, ok := strings.CutPrefix(words, prefix)
	if !ok {
		return 0, unknown(words)
	}
	return time.ParseDuration(value)
}

// named returns the value of an enumeration that has a name.
func named[T ~uint8](names []string, word string) (T, error) {
	i := slices.Index(names, word)
	if i < 0 || word == "" || word == "?" {
		return 0, unknown(word)
	}
	return T(i), nil
}

func unknown(word string) error { return fmt.Errorf("unknown word %q", word) }

// TestParseScenarioRejects: a slip of the pen must not go unnoticed.
func TestParseScenarioRejects(t *testing.T) {
	for _, text := range []string{
		"strateggy=staggered",
		"strategy=fast",
		"attempt-delay=250",
		"ask MX",
		"A after 20ms: 192.0.2.1:443",
		"ask A\nA after 20ms 192.0.2.1:443",
		"ask A\nA after 20ms: 192.0.2.1",
		"ask A\nA after 20ms: nothing",
		"ask A\nA after 20ms: positive",
		"ask A\nA within 20ms: not_found",
		"given: 192.0.2.1:443(ugly)",
		"given: 192.0.2.1:443(place=first)",
		"given: 192.0.2.1:443\n192.0.2.1:443 connects",
		"given: 192.0.2.1:443\n192.0.2.1:443 silent, connects before 20ms",
		"given: 192.0.2.1:443\n192.0.2.2:443 silent",
		"stop at 300ms bored",
		"stop 300ms",
		"asleep 20ms to 30ms",
		"expect luck: 1",
		"nonsense",
	} {
		if _, err := parseScenario(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
