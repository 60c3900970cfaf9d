package sched

import (
	"cmp"
	"net/netip"
	"testing"
	"time"
)

const thousand = 1000

// TestThousandRefused: H2-31 at length. Staggered, a thousand addresses that
// refuse start 10 ms apart and not a nanosecond less or more; the last is
// refused 100 µs after its start.
func TestThousandRefused(t *testing.T) {
	w := refusingWorld(Default())
	h := w.run(t, new(Race))
	starts := startsOf(h)
	if len(starts) != thousand {
		t.Fatalf("%d starts", len(starts))
	}
	for i, at := range starts {
		if want := time.Duration(i) * 10 * ms; at != want {
			t.Fatalf("attempt %d starts at %v, want %v", i, at, want)
		}
	}
	if got, want := resultOf(h).end, "exhausted at 9.9901s"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	checkAscending(t, h)
}

// checkAscending: nothing but place and id tells the addresses of a family
// apart, so they start in that order, however long the list.
func checkAscending(t *testing.T, h *history) {
	t.Helper()
	a := accountOf(h)
	last := map[bool]Candidate{}
	for _, f := range a.tries {
		c := a.found[f.Candidate].Candidate
		v4 := c.Endpoint.Addr().Is4()
		if before, some := last[v4]; some && cmp.Or(c.Place-before.Place, c.ID-before.ID) < 0 {
			t.Fatalf("candidate %d starts after %d", c.ID, before.ID)
		}
		last[v4] = c
	}
}

// TestThousandAtOnce: all start at the beginning, before any has been refused.
func TestThousandAtOnce(t *testing.T) {
	cfg := Default()
	cfg.Strategy = AllAtOnce
	h := refusingWorld(cfg).run(t, new(Race))
	starts := startsOf(h)
	for i, at := range starts {
		if at != 0 {
			t.Fatalf("attempt %d starts at %v", i, at)
		}
	}
	if got, want := resultOf(h).end, "exhausted at 100µs"; len(starts) != thousand || got != want {
		t.Errorf("%d starts, %s, want %s", len(starts), got, want)
	}
}

// TestThousandDeferred: there is room for none, and then for all.
func TestThousandDeferred(t *testing.T) {
	cfg := Default()
	cfg.Strategy = AllAtOnce
	w := refusingWorld(cfg)
	for endpoint, b := range w.endpoints {
		b.full, b.room = DeferInFlight, 100*ms
		w.endpoints[endpoint] = b
	}
	h := w.run(t, new(Race))
	proceeds := 0
	for _, entry := range h.log() {
		if entry.Action.Kind != Proceed {
			continue
		}
		if entry.At != 100*ms || entry.Action.Attempt != proceeds {
			t.Fatalf("%v, want attempt %d at 100 ms", entry, proceeds)
		}
		proceeds++
	}
	if got, want := resultOf(h).end, "exhausted at 100.1ms"; proceeds != thousand || got != want {
		t.Errorf("%d proceed, %s, want %s", proceeds, got, want)
	}
}

// TestThousandInGroups: H3-39 at length. All of a group start before any of the next,
// and within a group the families take turns as long as there are both.
func TestThousandInGroups(t *testing.T) {
	w := refusingWorld(Default())
	for i := range w.answers[0].found {
		w.answers[0].found[i].Group = Group{Protocol: uint8(i % 2), Priority: uint16(i % 5), Draw: uint16(i % 3)}
	}
	h := w.run(t, new(Race))
	a := accountOf(h)
	for i := range len(a.tries) - 1 {
		this, next := a.found[a.tries[i].Candidate].Group, a.found[a.tries[i+1].Candidate].Group
		if before(next, this) {
			t.Fatalf("attempt %d goes to %v, after one to %v", i+1, next, this)
		}
	}
	if got, want := resultOf(h).end, "exhausted at 9.9901s"; len(a.tries) != thousand || got != want {
		t.Errorf("%d starts, %s, want %s", len(a.tries), got, want)
	}
}

// TestThousandFamilies: two families that race each other share the floor.
func TestThousandFamilies(t *testing.T) {
	cfg := Default()
	cfg.Strategy = FamilyFallback
	h := refusingWorld(cfg).run(t, new(Race))
	for i, at := range startsOf(h) {
		if want := time.Duration(i) * 10 * ms; at != want {
			t.Fatalf("attempt %d starts at %v, want %v", i, at, want)
		}
	}
	if got, want := resultOf(h).end, "exhausted at 9.9901s"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	checkAscending(t, h)
}

// TestThousandSilent: backups keep the floor when a thousand attempts began at once,
// and are made as long as no kernel repeats its SYN: from 250 ms to 990 ms.
func TestThousandSilent(t *testing.T) {
	cfg := Default()
	cfg.Strategy, cfg.MaxBackups, cfg.Timeout = AllAtOnce, thousand, 2*time.Second
	w := refusingWorld(cfg)
	for endpoint := range w.endpoints {
		w.endpoints[endpoint] = behaviour{}
	}
	starts := startsOf(w.run(t, new(Race)))
	if got, want := len(starts), thousand+75; got != want {
		t.Fatalf("%d starts, want %d", got, want)
	}
	for i, at := range starts[thousand:] {
		if want := 250*ms + time.Duration(i)*10*ms; at != want {
			t.Fatalf("backup %d starts at %v, want %v", i, at, want)
		}
	}
}

func startsOf(h *history) []time.Duration {
	var starts []time.Duration
	for _, s := range h.steps {
		for _, a := range s.actions {
			if a.Kind == Start {
				starts = append(starts, s.now)
			}
		}
	}
	return starts
}

// refusingWorld has a thousand addresses that refuse within 100 µs.
func refusingWorld(cfg Config) *world {
	w := &world{name: "a thousand", cfg: cfg, endpoints: map[netip.AddrPort]behaviour{}}
	w.answers = []answer{{question: NoQuestion, found: thousandCandidates()}}
	for _, c := range w.answers[0].found {
		w.endpoints[c.Endpoint] = behaviour{outcome: Failed, after: 100 * time.Microsecond}
	}
	return w
}

// thousandCandidates are of both families, and in two places.
func thousandCandidates() []Candidate {
	candidates := make([]Candidate, thousand)
	for i := range candidates {
		addr := netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})
		if i%3 == 0 {
			addr = netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 14: byte(i >> 8), 15: byte(i)})
		}
		candidates[i] = candidateAt(addr.String())
		candidates[i].ID = i
		candidates[i].Place = i % 2
		candidates[i].SourceBits = 0
	}
	return candidates
}
