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
	// details are what else is expected, in the words of a line.
	details []detail
}

// detail is a line such as "expect triggers: first, backup".
type detail struct{ what, want string }

// exampleName is what questions ask for where nothing else is said.
const exampleName = "example.com"

// parseScenario reads the part above the transcript. A line is one of
//
//	# prose
//	strategy=sequential attempt-delay=100ms
//	service=protected,usable,relied
//	ask HTTPS AAAA A
//	last-resort A
//	AAAA after 20ms: [2001:db8::1]:443 [2001:db8::2]:443
//	A after 30ms: not_found
//	HTTPS after 30ms: service 192.0.2.1:443(hint=alt.example) follow A alt.example
//	A alt.example after 20ms: 192.0.2.1:443
//	given: 192.0.2.1:443 192.0.2.2:443(denied) 192.0.2.3:443(place=2,rtt=20ms)
//	192.0.2.1:443 starts late by 3ms, connects after 20ms, cancels after 5ms
//	192.0.2.1:443 tcp up after 20ms, connects after 30ms
//	192.0.2.1:443 silent; 2nd: connects after 20ms
//	192.0.2.1:443 deferred for rate, admitted after 100ms, connects after 20ms
//	192.0.2.1:443 deferred after 2ms for descriptors, never admitted
//	stop at 300ms deadline_near
//	asleep from 15ms to 25ms
//	expect starts: 0 at 0s, 1 at 250ms
//
// Times are counted from when the question was asked, from the start of an attempt
// or, once a stage of it is done, from when it was allowed to proceed. "2nd" is a
// backup attempt. What is deferred says for which reason, and after which time if
// that is not at once; "admitted" counts from then. An answer of "service" is positive also without addresses; one of
// "alias" is that and has something to follow. Questions that are not asked at the
// beginning must be in some answer's "follow" or in "last-resort".
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
	return s, s.place()
}

// place tells the answers to questions of the beginning from those to later ones.
func (s *scenario) place() error {
	later := slices.Clone(s.world.cfg.LastResort)
	for _, a := range s.world.answers {
		later = append(later, a.follow...)
	}
	for i := range s.world.answers {
		a := &s.world.answers[i]
		if a.question == NoQuestion {
			continue
		}
		if id := slices.Index(s.world.cfg.Questions, a.to); id >= 0 {
			a.question, a.to = id, Question{}
		} else if !slices.Contains(later, a.to) {
			return fmt.Errorf("%v %s is not asked for", a.to.Type, a.to.Name)
		}
	}
	return nil
}

func (s *scenario) line(line string) error {
	head, rest, _ := strings.Cut(line, " ")
	switch {
	case strings.Contains(head, "="):
		return s.parameters(line)
	case head == "ask":
		return asked(&s.world.cfg.Questions, rest)
	case head == "last-resort":
		return asked(&s.world.cfg.LastResort, rest)
	case head == "given:":
		return s.answer(answer{question: NoQuestion}, rest)
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
	case "version":
		c.Version, err = named[Version](versionNames, value)
	case "service":
		c.Service, err = parseService(value)
	case "attempt-delay":
		c.AttemptDelay, err = time.ParseDuration(value)
	case "multiplier":
		c.Multiplier, err = strconv.ParseFloat(value, 64)
	case "quantile":
		c.Quantile, err = strconv.ParseFloat(value, 64)
	case "max-backups":
		c.MaxBackups, err = strconv.Atoi(value)
	case "grace":
		c.Grace, err = time.ParseDuration(value)
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

func parseService(words string) (s Service, err error) {
	for _, word := range strings.Split(words, ",") {
		switch word {
		case "protected":
			s.Protected = true
		case "usable":
			s.Usable = true
		case "relied":
			s.Relied = true
		default:
			err = unknown(word)
		}
	}
	return s, err
}

// asked reads types of questions about the usual name.
func asked(to *[]Question, types string) error {
	for _, word := range strings.Fields(types) {
		t, err := named[RecordType](recordTypeNames, word)
		if err != nil {
			return err
		}
		*to = append(*to, Question{Name: exampleName, Type: t})
	}
	return nil
}

// answered reads what follows the type in "AAAA after 20ms: ..." and in "AAAA
// alt.example after 20ms: ...".
func (s *scenario) answered(typ, rest string) error {
	t, err := named[RecordType](recordTypeNames, typ)
	if err != nil {
		return err
	}
	a := answer{to: Question{Name: exampleName, Type: t}}
	when, found, ok := strings.Cut(rest, ": ")
	if !ok {
		return unknown(rest)
	}
	if head, after, named := strings.Cut(when, " after "); named {
		a.to.Name, when = head, "after "+after
	}
	if a.after, err = phrase(when, "after "); err != nil {
		return err
	}
	return s.answer(a, found)
}

func (s *scenario) answer(a answer, text string) error {
	words := strings.Fields(text)
	empty := false
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		status, err := named[Answer](answerNames, word)
		switch {
		case err == nil:
			a.status = status
		case word == "service" || word == "alias":
			empty = true
		case word == "follow":
			if len(words) < 2 {
				return unknown(text)
			}
			t, err := named[RecordType](recordTypeNames, words[0])
			if err != nil {
				return err
			}
			a.follow = append(a.follow, Question{Name: words[1], Type: t})
			words = words[2:]
		default:
			c, err := parseCandidate(word)
			if err != nil {
				return err
			}
			a.found = append(a.found, c)
		}
	}
	s.world.answers = append(s.world.answers, a)
	return a.valid(empty, strings.HasPrefix(text, "alias"))
}

// valid looks at what parts of an answer must not or must come together. empty says
// that it may be positive without addresses.
func (a *answer) valid(empty, alias bool) error {
	switch service := a.to.Type.Family() == addrsel.FamilyAny; {
	case empty && (!service || a.status != Positive || a.question == NoQuestion):
		return fmt.Errorf("only a positive answer to HTTPS or SVCB brings a service or an alias")
	case alias && (len(a.follow) == 0 || len(a.found) > 0):
		return fmt.Errorf("an alias has something to follow, and no addresses")
	case !empty && (a.status == Positive) != (len(a.found) > 0):
		return fmt.Errorf("an answer has addresses or it is not positive")
	case a.status != Positive && len(a.follow) > 0:
		return fmt.Errorf("nothing follows from an answer that is not positive")
	}
	return nil
}

// parseCandidate reads an endpoint with optional remarks. All candidates of a
// family are the same to RFC 6724, so they keep their order.
func parseCandidate(word string) (c Candidate, err error) {
	endpoint, remarks, some := strings.Cut(word, "(")
	if c.Endpoint, err = netip.ParseAddrPort(endpoint); err != nil {
		return c, err
	}
	c.Source = sourceFor(c.Endpoint.Addr())
	if !some {
		return c, nil
	}
	remarks, closed := strings.CutSuffix(remarks, ")")
	if !closed {
		return c, unknown(word)
	}
	for _, remark := range strings.Split(remarks, ",") {
		if err := c.remark(remark); err != nil {
			return c, err
		}
	}
	return c, nil
}

// remark adds a fact to a candidate.
func (c *Candidate) remark(remark string) (err error) {
	key, value, _ := strings.Cut(remark, "=")
	var n uint64
	switch key {
	case "denied", "family", "alpn":
		skips := map[string]SkipReason{"denied": SkipDenied, "family": SkipFamily, "alpn": SkipProtocol}
		if value != "" || c.Skip != SkipNone {
			return unknown(remark)
		}
		c.Skip = skips[key]
	case "place":
		c.Place, err = strconv.Atoi(value)
	case "protocol":
		n, err = strconv.ParseUint(value, 10, 8)
		c.Group.Protocol = uint8(n)
	case "priority":
		n, err = strconv.ParseUint(value, 10, 16)
		c.Group.Priority = uint16(n)
	case "draw":
		n, err = strconv.ParseUint(value, 10, 16)
		c.Group.Draw = uint16(n)
	case "hint":
		if c.Hint = value; value == "" {
			err = unknown(remark)
		}
	case "rtt":
		c.Expect.RTT, err = time.ParseDuration(value)
	case "deviation":
		c.Expect.Deviation, err = time.ParseDuration(value)
	case "past":
		c.Expect.Past, err = parseTimes(value)
	default:
		err = unknown(remark)
	}
	return err
}

// parseTimes reads "10ms/20ms/30ms", the shortest first.
func parseTimes(words string) (times []time.Duration, err error) {
	for _, word := range strings.Split(words, "/") {
		d, err := time.ParseDuration(word)
		if err != nil {
			return nil, err
		}
		times = append(times, d)
	}
	if !slices.IsSorted(times) {
		return nil, fmt.Errorf("%q is not in ascending order", words)
	}
	return times, nil
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
	what, value, ok := strings.Cut(rest, ": ")
	if !ok {
		return unknown(rest)
	}
	switch what {
	case "starts":
		s.expect.starts = value
	case "winner":
		s.expect.winner = value
	case "end":
		s.expect.end = value
	default:
		if _, known := details[what]; !known {
			return unknown(what)
		}
		s.details = append(s.details, detail{what, value})
	}
	return nil
}

func (s *scenario) endpoint(word, text string) error {
	endpoint, err := netip.ParseAddrPort(word)
	if err != nil {
		return unknown(word)
	}
	if _, twice := s.world.endpoints[endpoint]; twice {
		return fmt.Errorf("%v is described twice", endpoint)
	}
	first, second, twofold := strings.Cut(text, "; 2nd: ")
	b, err := parseBehaviour(first)
	if err == nil && twofold {
		b.backup = new(behaviour)
		*b.backup, err = parseBehaviour(second)
	}
	s.world.endpoints[endpoint] = b
	return err
}

// parseBehaviour reads phrases of which one says how an attempt ends.
func parseBehaviour(phrases string) (b behaviour, err error) {
	endings := 0
	for _, p := range strings.Split(phrases, ", ") {
		if err := b.learn(p); err != nil {
			return b, err
		}
		if p == "silent" || p == "fails to start" || p == "never admitted" || strings.HasPrefix(p, "connects after ") || strings.HasPrefix(p, "refuses after ") {
			endings++
		}
	}
	if endings != 1 {
		return b, fmt.Errorf("%q has %d ends", phrases, endings)
	}
	admitted := strings.Contains(phrases, "admitted")
	if admitted != (b.full != DeferNone) || strings.Count(phrases, "admitted") > 1 {
		return b, fmt.Errorf("%q: what is deferred, and nothing else, says once when it is admitted", phrases)
	}
	return b, nil
}

// learn adds one phrase to what an endpoint does.
func (b *behaviour) learn(words string) (err error) {
	switch {
	case words == "silent":
	case words == "fails to start":
		b.unable = true
	case words == "never admitted":
		b.room = -1
	case strings.HasPrefix(words, "admitted after "):
		b.room, err = phrase(words, "admitted after ")
	case strings.HasPrefix(words, "deferred "):
		err = b.deferral(strings.TrimPrefix(words, "deferred "))
	case words == "connects although cancelled":
		b.stubborn = true
	case strings.HasPrefix(words, "tcp up after "):
		err = b.stage(words, "tcp up after ")
	case strings.HasPrefix(words, "tls up after "):
		err = b.stage(words, "tls up after ")
	case strings.HasPrefix(words, "hangs up after "):
		b.hangup, err = phrase(words, "hangs up after ")
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

// deferral reads "for rate" and "after 2ms for rate".
func (b *behaviour) deferral(words string) (err error) {
	when, why, ok := strings.Cut(" "+words, " for ")
	if !ok {
		return unknown(words)
	}
	if when != "" {
		if b.lateFull, err = phrase(when, " after "); err != nil {
			return err
		}
	}
	b.full, err = named[DeferReason](deferNames, why)
	return err
}

func (b *behaviour) stage(words, prefix string) error {
	d, err := phrase(words, prefix)
	b.stages = append(b.stages, d)
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
		"version=v1",
		"attempt-delay=250",
		"multiplier=twice",
		"quantile=most",
		"max-backups=some",
		"grace=200",
		"service=protected,useful",
		"service=",
		"ask MX",
		"last-resort MX",
		"A after 20ms: 192.0.2.1:443",
		"ask A\nA after 20ms 192.0.2.1:443",
		"ask A\nA after 20ms: 192.0.2.1",
		"ask A\nA after 20ms: nothing",
		"ask A\nA after 20ms: positive",
		"ask A\nA within 20ms: not_found",
		"ask A\nA after 20ms: service",
		"ask A\nA alt.example after 20ms: 192.0.2.1:443",
		"ask HTTPS\nHTTPS after 20ms: alias",
		"ask HTTPS\nHTTPS after 20ms: alias 192.0.2.1:443 follow A alt.example",
		"ask HTTPS\nHTTPS after 20ms: service not_found",
		"ask HTTPS\nHTTPS after 20ms: not_found follow A alt.example",
		"ask HTTPS\nHTTPS after 20ms: service follow A",
		"ask HTTPS\nHTTPS after 20ms: service follow MX alt.example",
		"ask HTTPS\nHTTPS after 20ms: service follow A alt.example\nAAAA alt.example after 20ms: not_found",
		"given: service",
		"given: 192.0.2.1:443(ugly)",
		"given: 192.0.2.1:443(denied",
		"given: 192.0.2.1:443(denied,family)",
		"given: 192.0.2.1:443(denied=yes)",
		"given: 192.0.2.1:443(place=first)",
		"given: 192.0.2.1:443(priority=-1)",
		"given: 192.0.2.1:443(protocol=256)",
		"given: 192.0.2.1:443(draw=65536)",
		"given: 192.0.2.1:443(hint=)",
		"given: 192.0.2.1:443(rtt=20)",
		"given: 192.0.2.1:443(deviation=5)",
		"given: 192.0.2.1:443(past=20ms/10ms)",
		"given: 192.0.2.1:443(past=20)",
		"given: 192.0.2.1:443(rtt=20ms ugly)",
		"given: 192.0.2.1:443\n192.0.2.1:443 connects",
		"given: 192.0.2.1:443\n192.0.2.1:443 starts late by 3ms",
		"given: 192.0.2.1:443\n192.0.2.1:443 silent, connects before 20ms",
		"given: 192.0.2.1:443\n192.0.2.1:443 silent, connects after 20ms",
		"given: 192.0.2.1:443\n192.0.2.1:443 tcp up after 20, silent",
		"given: 192.0.2.1:443\n192.0.2.1:443 silent; 2nd: sleeps",
		"given: 192.0.2.1:443\n192.0.2.1:443 silent, 2nd: silent",
		"given: 192.0.2.1:443\n192.0.2.1:443 silent\n192.0.2.1:443 silent",
		"given: 192.0.2.1:443\n192.0.2.2:443 silent",
		"given: 192.0.2.1:443\n192.0.2.1:443 deferred for rate, silent",
		"given: 192.0.2.1:443\n192.0.2.1:443 deferred for fun, never admitted",
		"given: 192.0.2.1:443\n192.0.2.1:443 deferred, never admitted",
		"given: 192.0.2.1:443\n192.0.2.1:443 deferred after 2 for rate, never admitted",
		"given: 192.0.2.1:443\n192.0.2.1:443 deferred within 2ms for rate, never admitted",
		"given: 192.0.2.1:443\n192.0.2.1:443 deferred for rate, admitted after 2ms, never admitted",
		"given: 192.0.2.1:443\n192.0.2.1:443 deferred for rate, never admitted, silent",
		"given: 192.0.2.1:443\n192.0.2.1:443 deferred for rate, admitted after 2, silent",
		"given: 192.0.2.1:443\n192.0.2.1:443 never admitted",
		"given: 192.0.2.1:443\n192.0.2.1:443 admitted after 2ms, silent",
		"stop at 300ms bored",
		"stop 300ms",
		"asleep 20ms to 30ms",
		"expect luck: 1",
		"expect starts",
		"nonsense",
	} {
		if _, err := parseScenario(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
