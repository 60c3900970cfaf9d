package sched

import (
	"math/rand/v2"
	"net/netip"
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
	return w
}

func randomConfig(c chooser) Config {
	return Config{
		Goal:     pick(c, First, First, First, First, Every, Order),
		Strategy: pick(c, Staggered, Staggered, Sequential, AllAtOnce, FirstThenAll),
		Questions: pick(c, nil,
			questions(AAAA, A), questions(A, AAAA), questions(A), questions(AAAA), questions(AAAA, A, AAAA, A)),
		Ranking: addrsel.Config{
			PreferredFamily:  pick(c, addrsel.FamilyAny, addrsel.FamilyIPv4, addrsel.FamilyIPv6),
			FirstFamilyCount: c.IntN(3),
		},
		OnlyRouted:      pick(c, addrsel.FamilyAny, addrsel.FamilyAny, addrsel.FamilyIPv4, addrsel.FamilyIPv6),
		AttemptDelay:    pick(c, 250*ms, 0, 5*ms, 10*ms, 50*ms, 2*time.Second),
		ResolutionDelay: pick(c, 50*ms, 0),
		AttemptTimeout:  pick(c, 0, 20*ms, 100*ms, 300*ms),
		Timeout:         pick(c, 0, 0, 60*ms, 400*ms, time.Second),
		MaxInFlight:     pick(c, 0, 0, 1, 2, 3),
		MaxPerAnswer:    pick(c, 0, 0, 0, 1, 2),
	}
}

func questions(types ...RecordType) []Question {
	var qs []Question
	for _, t := range types {
		qs = append(qs, Question{Name: "example.com", Type: t})
	}
	return qs
}

// randomTime is mostly near a value at which something else happens too.
func randomTime(c chooser) time.Duration {
	return pick(c, 0, ms, 2*ms, 5*ms, 9*ms, 10*ms-1, 10*ms, 10*ms+1, 11*ms, 20*ms, 49*ms, 50*ms, 51*ms,
		100*ms, 249*ms, 250*ms, 251*ms, 260*ms, 300*ms, 500*ms, time.Second)
}

func randomBehaviour(c chooser) behaviour {
	return behaviour{
		late:     pick(c, 0, 0, 0, ms, 15*ms),
		unable:   c.IntN(10) == 0,
		outcome:  pick(c, 0, Failed, Failed, Connected),
		after:    randomTime(c),
		confirm:  pick(c, 0, 0, ms, 20*ms),
		stubborn: c.IntN(8) == 0,
	}
}

// randomAnswers are up to three for each question, and given addresses: always
// at the beginning when nothing is asked, or the race would be over before.
func randomAnswers(c chooser, w *world) {
	if len(w.cfg.Questions) == 0 || c.IntN(4) == 0 {
		w.answers = append(w.answers, answer{question: NoQuestion, found: randomFound(c, somePrefixes)})
	}
	for id, q := range w.cfg.Questions {
		var after time.Duration
		for range c.IntN(4) {
			after += randomTime(c)
			w.answers = append(w.answers, randomAnswer(c, id, q.Type, after))
		}
	}
}

func randomAnswer(c chooser, question int, t RecordType, after time.Duration) answer {
	a := answer{question: question, after: after, status: pick(c, Positive, Positive, Positive, NotFound, Broken)}
	switch {
	case a.status != Positive:
	case t == AAAA:
		a.found = randomFound(c, somePrefixes[:4], somePrefixes[8:])
	default:
		a.found = randomFound(c, somePrefixes[4:8])
	}
	if len(a.found) == 0 && a.status == Positive {
		a.status = NotFound
	}
	return a
}

func randomFound(c chooser, pools ...[]string) []Candidate {
	var found []Candidate
	for _, pool := range pools {
		for range c.IntN(5) {
			candidate := candidateAt(pick(c, pool...))
			candidate.Skip = pick(c, SkipNone, SkipNone, SkipNone, SkipNone, SkipNone, SkipNone, SkipDenied, SkipFamily)
			found = append(found, candidate)
		}
	}
	return found
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
