package sched

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// chooser makes the choices of a random world: a random number generator, or
// the bytes of a fuzz input.
type chooser interface {
	IntN(n int) int
}

// bytesChooser chooses by one byte after the other, and the first choice when
// there are none left.
type bytesChooser []byte

func (b *bytesChooser) IntN(n int) int {
	if len(*b) == 0 {
		return 0
	}
	choice := int((*b)[0]) % n
	*b = (*b)[1:]
	return choice
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

func pick[T any](c chooser, pool ...T) T { return pool[c.IntN(len(pool))] }

const ms = time.Millisecond

// somePrefixes make RFC 6724 rule 9 decide every pair of a family: the number
// of bits in common with the source falls from one to the next. The last two are
// IPv4-mapped copies.
var somePrefixes = []string{
	"2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:4::1",
	"192.0.2.1", "192.0.3.1", "192.0.0.1", "192.0.4.1",
	"::ffff:192.0.2.1", "::ffff:192.0.3.1",
}

// randomWorld is a world of a few addresses and small times that meet often. It
// always ends: the caller does not wait for ever.
func randomWorld(c chooser) *world {
	w := &world{
		cfg:       randomConfig(c),
		endpoints: map[netip.AddrPort]behaviour{},
		oversleep: pick(c, 0, 0, 3*ms, 30*ms),
		shuffle:   c.IntN(2) == 1,
		seed:      uint64(c.IntN(256)),
		stops:     []stop{{at: 20 * time.Second, why: EndCallerLeft}},
	}
	if c.IntN(8) == 0 {
		w.stops = append(w.stops, stop{at: randomTime(c), why: EndDeadlineNear})
	}
	for _, prefix := range somePrefixes {
		w.endpoints[unmapped(endpointAt(prefix))] = randomBehaviour(c)
	}
	randomAnswers(c, w)
	switch c.IntN(10) {
	case 0, 1:
		makeLonely(c, w)
	case 2:
		makeCrowded(c, w)
	}
	makeBusy(c, w, 1)
	if c.IntN(15) == 0 {
		makeShut(c, w)
	}
	if c.IntN(4) == 0 {
		placeAll(c, w)
	}
	return w
}

// placeAll lets places decide where rule 9 would, and each answer has its own.
func placeAll(c chooser, w *world) {
	for _, a := range w.answers {
		for i := range a.found {
			a.found[i].SourceBits, a.found[i].Place = 0, c.IntN(3)
		}
	}
}

// makeShut leaves a lonely world in which there is no room for a first attempt, or for
// its backup.
func makeShut(c chooser, w *world) {
	makeLonely(c, w)
	w.cfg.Grace, w.cfg.Strategy = 300*ms, pick(c, w.cfg.Strategy, FamilyFallback)
	for _, prefix := range somePrefixes[:2] {
		b, known := w.endpoints[endpointAt(prefix)]
		if known && b.backup != nil {
			shut := pick(c, &b, b.backup, b.backup)
			shut.full, shut.lateFull, shut.room = DeferRate, pick(c, 0, 60*ms), pick(c, 300*ms, 2*time.Second, -1)
			w.endpoints[endpointAt(prefix)] = b
		}
	}
}

// makeBusy lets three of five worlds have so much to do that they put attempts off, for
// times that are whole units. In some, what was asked for at different times is
// admitted at the same.
func makeBusy(c chooser, w *world, unit time.Duration) {
	if c.IntN(5) > 2 {
		return
	}
	w.cfg.MaxBackups = pick(c, w.cfg.MaxBackups, 2)
	w.cfg.Strategy = pick(c, w.cfg.Strategy, w.cfg.Strategy, w.cfg.Strategy, FamilyFallback)
	room := func() time.Duration {
		return pick(c, randomTime(c), randomTime(c), 100*ms, 300*ms, 2*time.Second, -unit).Truncate(unit)
	}
	if c.IntN(3) == 0 {
		w.cfg.AttemptDelay, w.cfg.Grace, w.cfg.Strategy = pick(c, 0, 10*ms), 300*ms, pick(c, w.cfg.Strategy, Staggered)
		room = func() time.Duration { return pick(c, 0, 10*ms, 20*ms, 30*ms) }
	}
	endpoints := slices.SortedFunc(maps.Keys(w.endpoints), netip.AddrPort.Compare)
	for _, endpoint := range endpoints {
		b := w.endpoints[endpoint]
		b.putOff(c, unit, room)
		if c.IntN(3) == 0 && b.backup == nil {
			backup := b
			b.full, b.backup = DeferNone, &backup
		}
		if b.backup != nil {
			b.backup.putOff(c, unit, room)
		}
		w.endpoints[endpoint] = b
	}
}

func (b *behaviour) putOff(c chooser, unit time.Duration, room func() time.Duration) {
	if c.IntN(3) == 0 {
		return
	}
	b.full = DeferDescriptors + DeferReason(c.IntN(int(DeferPrefixRate)))
	b.lateFull = pick(c, 0, 0, 0, ms, 15*ms, 50*ms, 100*ms).Truncate(unit)
	b.confirm = max(b.confirm, pick(c, 0, 20*ms, 100*ms))
	b.room = room()
}

// makeLonely leaves a world one address or two, which are known from the start and
// answer when a backup has been made, at the same few moments at which the race may
// have to end, and perhaps one that is told of then.
func makeLonely(c chooser, w *world) {
	moment := func() time.Duration { return pick(c, 300*ms, 310*ms) }
	w.cfg.Goal, w.cfg.MaxBackups, w.cfg.MaxInFlight, w.cfg.Timeout = pick(c, First, Every), 2, 0, 0
	w.cfg.Questions, w.cfg.LastResort, w.cfg.AttemptTimeout = nil, nil, pick(c, 0, moment())
	w.cfg.Strategy = pick(c, w.cfg.Strategy, Staggered)
	if c.IntN(3) == 0 {
		w.cfg.Timeout = moment()
	}
	if c.IntN(3) == 0 {
		w.stops = append(w.stops, stop{at: moment(), why: EndDeadlineNear})
	}
	alone := answer{question: NoQuestion}
	for _, prefix := range somePrefixes[:1+c.IntN(2)] {
		b := behaviour{outcome: pick(c, 0, Failed, Connected, Connected), after: moment()}
		b.backup = &behaviour{outcome: pick(c, 0, 0, Failed, Connected), after: pick(c, 50*ms, moment()), stubborn: c.IntN(2) == 1}
		w.endpoints[endpointAt(prefix)] = b
		alone.found = append(alone.found, randomCandidate(c, false, prefix))
	}
	w.answers = []answer{alone}
	if c.IntN(2) == 1 {
		late := randomCandidate(c, false, somePrefixes[2])
		w.answers = append(w.answers, answer{question: NoQuestion, after: pick(c, 260*ms, 270*ms, moment()), found: []Candidate{late}})
	}
}

// makeCrowded leaves a world two endpoints, which several answers have in groups that
// change while a third one keeps the race waiting.
func makeCrowded(c chooser, w *world) {
	w.cfg.Goal, w.cfg.Strategy, w.cfg.AttemptDelay = First, Staggered, 250*ms
	w.cfg.Questions, w.cfg.ResolutionDelay, w.cfg.MaxPerAnswer = questions(A, A, A), 0, 0
	first := candidateAt(somePrefixes[6])
	w.endpoints[first.Endpoint] = behaviour{}
	w.answers = []answer{{question: NoQuestion, found: []Candidate{first}}}
	for id := range w.cfg.Questions {
		a := answer{question: id}
		for range 1 + c.IntN(3) {
			a.after += randomTime(c)
			a.found = nil
			for range 1 + c.IntN(3) {
				a.found = append(a.found, randomCandidate(c, true, pick(c, somePrefixes[4:6]...)))
			}
			w.answers = append(w.answers, a)
		}
	}
}

func randomConfig(c chooser) Config {
	return Config{
		Goal:       pick(c, First, First, First, First, Every, Order),
		Strategy:   pick(c, Staggered, Staggered, Sequential, AllAtOnce, FirstThenAll, FamilyFallback, Adaptive),
		Version:    pick(c, V3, V3, V2),
		Questions:  randomQuestions(c),
		LastResort: pick(c, nil, nil, nil, questions(A), []Question{{aliasName, A}, {aliasName, AAAA}}),
		Service:    Service{Protected: c.IntN(2) == 1, Usable: c.IntN(5) > 0, Relied: c.IntN(5) > 0},
		Ranking: addrsel.Config{
			PreferredFamily:  pick(c, addrsel.FamilyAny, addrsel.FamilyIPv4, addrsel.FamilyIPv6),
			FirstFamilyCount: c.IntN(3),
		},
		OnlyRouted:      pick(c, addrsel.FamilyAny, addrsel.FamilyAny, addrsel.FamilyIPv4, addrsel.FamilyIPv6),
		AttemptDelay:    pick(c, 250*ms, 0, 5*ms, 10*ms, 50*ms, 2*time.Second),
		Multiplier:      pick(c, 0, 0, 0.5, 1.5, 2),
		Quantile:        pick(c, 0, 0, 0.28, 0.5, 0.95),
		MaxBackups:      pick(c, 0, 1, 2, 2, 5),
		Grace:           pick(c, 0, 20*ms, 300*ms, time.Second),
		ResolutionDelay: pick(c, 50*ms, 0),
		AttemptTimeout:  pick(c, 0, 0, 20*ms, 100*ms, 300*ms, 600*ms),
		Timeout:         pick(c, 0, 0, 0, 0, 0, 60*ms, 400*ms, time.Second),
		MaxInFlight:     pick(c, 0, 0, 1, 2, 3),
		MaxPerAnswer:    pick(c, 0, 0, 0, 1, 2),
	}
}

// aliasName is a name that answers lead to.
const aliasName = "alias.example"

// randomQuestions have no service in most worlds, and then there are no groups.
func randomQuestions(c chooser) []Question {
	return pick(c, nil,
		questions(AAAA, A), questions(A, AAAA), questions(A), questions(AAAA), questions(AAAA, A, AAAA, A),
		questions(HTTPS, AAAA, A), questions(HTTPS, AAAA, A), questions(HTTPS, AAAA, A), questions(SVCB, A), questions(AAAA, HTTPS, A))
}

func questions(types ...RecordType) []Question {
	var qs []Question
	for _, t := range types {
		qs = append(qs, Question{Name: exampleName, Type: t})
	}
	return qs
}

// randomTime is mostly near a value at which something else happens too.
func randomTime(c chooser) time.Duration {
	return pick(c, 0, ms, 2*ms, 5*ms, 9*ms, 10*ms-1, 10*ms, 10*ms+1, 11*ms, 20*ms, 49*ms, 50*ms, 51*ms,
		100*ms, 249*ms, 250*ms, 251*ms, 260*ms, 300*ms, 500*ms, time.Second)
}

// randomBehaviour is in half of the cases another one for a backup.
func randomBehaviour(c chooser) behaviour {
	b := randomAttempt(c)
	if c.IntN(2) == 1 {
		b.backup = new(behaviour)
		*b.backup = randomAttempt(c)
		b.backup.outcome = pick(c, 0, Failed, Connected, Connected, Connected)
		b.backup.stubborn = c.IntN(2) == 1
	}
	return b
}

func randomAttempt(c chooser) behaviour {
	b := behaviour{
		late:     pick(c, 0, 0, 0, ms, 15*ms),
		unable:   c.IntN(10) == 0,
		outcome:  pick(c, 0, 0, Failed, Failed, Connected, Connected),
		after:    randomTime(c),
		confirm:  pick(c, 0, 0, ms, 20*ms),
		stubborn: c.IntN(8) == 0,
	}
	for range pick(c, 0, 0, 1, 2) {
		b.stages = append(b.stages, randomTime(c))
		b.hangup = pick(c, 0, 0, ms, 100*ms)
	}
	return b
}

// randomAnswers are up to three for each question, and given addresses: always
// at the beginning when nothing is asked, or the race would be over before.
func randomAnswers(c chooser, w *world) {
	if len(w.cfg.Questions) == 0 || c.IntN(4) == 0 {
		w.answers = append(w.answers, answer{question: NoQuestion, found: randomFound(c, grouped(w), somePrefixes)})
	}
	for id, q := range w.cfg.Questions {
		randomAnswersTo(c, w, answer{question: id}, q.Type)
	}
	for _, q := range laterQuestions {
		randomAnswersTo(c, w, answer{question: NoQuestion - 1, to: q}, q.Type)
	}
}

// laterQuestions are what answers have to follow, and the last resort has to ask,
// unless they are asked at the beginning.
var laterQuestions = []Question{{exampleName, A}, {aliasName, HTTPS}, {aliasName, AAAA}, {aliasName, A}}

// grouped says that candidates differ in their groups.
func grouped(w *world) bool {
	return slices.ContainsFunc(w.cfg.Questions, func(q Question) bool { return q.Type == HTTPS || q.Type == SVCB })
}

func randomAnswersTo(c chooser, w *world, a answer, t RecordType) {
	if slices.Contains(w.cfg.Questions, a.to) {
		return
	}
	if t == HTTPS || t == SVCB {
		a.after = pick(c, 0, 100*ms) // handshakes may have to wait for it
	}
	for range c.IntN(4) {
		a.after += randomTime(c)
		w.answers = append(w.answers, randomAnswer(c, grouped(w), a, t))
	}
}

func randomAnswer(c chooser, grouped bool, a answer, t RecordType) answer {
	a.status = pick(c, Positive, Positive, Positive, NotFound, Broken)
	switch {
	case a.status != Positive:
		return a
	case t == HTTPS || t == SVCB:
		a.found = hints(c, randomFound(c, grouped, somePrefixes))
		a.follow = pick(c, nil, nil, laterQuestions[2:], laterQuestions[1:2], questions(A))
		return a
	case t == AAAA:
		a.found = randomFound(c, grouped, somePrefixes[:4], somePrefixes[8:])
	default:
		a.found = randomFound(c, grouped, somePrefixes[4:8])
	}
	if len(a.found) == 0 {
		a.status = NotFound
	}
	return a
}

// hints makes address hints of some candidates.
func hints(c chooser, found []Candidate) []Candidate {
	for i := range found {
		found[i].Hint = pick(c, exampleName, aliasName, "")
	}
	return found
}

func randomFound(c chooser, grouped bool, pools ...[]string) []Candidate {
	var found []Candidate
	for _, pool := range pools {
		if grouped {
			pool = pool[:(len(pool)+1)/2] // so that an endpoint is in several groups
		}
		for range c.IntN(5) {
			found = append(found, randomCandidate(c, grouped, pick(c, pool...)))
		}
	}
	return found
}

func randomCandidate(c chooser, grouped bool, addr string) Candidate {
	candidate := candidateAt(addr)
	if c.IntN(8) == 0 {
		candidate.Skip = pick(c, SkipDenied, SkipFamily, SkipProtocol, SkipSource)
	}
	candidate.Expect = randomExpectation(c)
	if grouped {
		candidate.Group = pick(c, Group{}, Group{Priority: 1}, Group{Priority: 1, Draw: 1}, Group{Priority: 2},
			Group{Protocol: 1}, Group{Protocol: 1, Priority: 1})
	}
	return candidate
}

func randomExpectation(c chooser) Expectation {
	return pick(c, Expectation{}, Expectation{RTT: 20 * ms, Deviation: 1}, Expectation{RTT: ms},
		Expectation{RTT: 20 * ms}, Expectation{RTT: 20 * ms, Deviation: 5 * ms}, Expectation{RTT: 150 * ms, Deviation: 100 * ms},
		Expectation{RTT: 3 * time.Second}, Expectation{Past: []time.Duration{5 * ms}},
		Expectation{RTT: 100 * ms, Past: []time.Duration{30 * ms, 40 * ms, 50 * ms, 300 * ms}},
		Expectation{Past: []time.Duration{ms, 5 * ms, 100 * ms, 3 * time.Second}}, Expectation{Past: twentyFive()})
}

// twentyFive are times of which the quantile 0.28 is the seventh, although 0.28 * 25
// is a little more than 7 in binary.
func twentyFive() (times []time.Duration) {
	for at := 5 * ms; len(times) < 25; at += ms {
		times = append(times, at)
	}
	return times
}

func endpointAt(addr string) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), 443)
}

// candidateAt has a source that makes it usable.
func candidateAt(addr string) Candidate {
	c := Candidate{Endpoint: endpointAt(addr), Source: sourceFor(netip.MustParseAddr(addr))}
	if c.Source.Is4() {
		c.SourceBits = 24
	}
	return c
}
