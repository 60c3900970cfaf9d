package racer

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// The schedule of ResolveAndRank is what Race does in the same world when every
// attempt stays silent: 1000 worlds, and each strategy, trigger and basis of a delay
// among them.
func TestScheduleIsWhatASilentRaceDoes(t *testing.T) {
	seen := make(map[string]int)
	for seed := range uint64(1000) {
		synctest.Test(t, func(t *testing.T) {
			w := newSilentWorld(t, seed)
			ranked, err := w.net.racer().ResolveAndRank(t.Context(), RankRequest{
				Target: w.req.Target, Selection: w.req.Selection, Options: w.req.Options,
			})
			must(t, err)
			raced, err := w.net.racer().Race(t.Context(), w.req)
			must(t, err)
			checkRun(t, &ranked.Run)
			checkCandidates(t, ranked.Candidates)
			checkRace(t, raced)
			if got, want := ranked.Schedule, starts(raced); !slices.Equal(got, want) {
				t.Errorf("the schedule is\n%v\nand the race\n%v", got, want)
			}
			if got, want := order(ranked.Candidates), order(raced.Candidates); !slices.Equal(got, want) {
				t.Errorf("the order is\n%v\nand the race's\n%v", got, want)
			}
			wantSameWarnings(t, ranked, raced)
			for _, s := range ranked.Schedule {
				seen[w.req.Options.Strategy.String()]++
				seen[s.Trigger.String()]++
				seen[s.Basis.String()]++
			}
			if t.Failed() {
				t.Fatalf("world %d: %+v", seed, w.req)
			}
		})
	}
	for _, word := range everyWord() {
		if seen[word] == 0 {
			t.Errorf("no schedule has %q in it: %v", word, seen)
		}
	}
}

// everyWord is what must be among the starts: failures and late addresses too.
func everyWord() (words []string) {
	for _, s := range everyStrategy {
		words = append(words, s.String())
	}
	for tr := sched.TriggerFirst; tr <= sched.TriggerBackup; tr++ {
		words = append(words, tr.String())
	}
	for b := sched.BasisNone; b <= sched.BasisQuantile; b++ {
		words = append(words, b.String())
	}
	return words
}

// wantSameWarnings holds that both say the same of the request, and of what is not
// known.
func wantSameWarnings(t *testing.T, ranked *RankResult, raced *RaceResult) {
	t.Helper()
	same := slices.DeleteFunc(slices.Clone(ranked.Warnings), func(w Warning) bool { return w.Field == "options.grace" })
	if !slices.Equal(same, raced.Warnings) {
		t.Errorf("the warnings are\n%q\nand the race's\n%q", ranked.Warnings, raced.Warnings)
	}
}

// starts are a race's, as a schedule has them.
func starts(r *RaceResult) []ScheduledStart {
	var starts []ScheduledStart
	for _, e := range r.Transcript {
		if e.Action.Kind != sched.Start {
			continue
		}
		at := slices.IndexFunc(r.Candidates, func(c Candidate) bool {
			return c.Endpoint == e.Endpoint && c.Outcome != sched.OutcomeSkipped
		})
		starts = append(starts, ScheduledStart{
			Position: at + 1, Endpoint: e.Endpoint, Start: e.At, Trigger: e.Action.Trigger,
			Delay: e.Action.Delay, Basis: e.Action.Basis,
		})
	}
	return starts
}

func order(cs []Candidate) []string {
	lines := make([]string, len(cs))
	for i, c := range cs {
		lines[i] = fmt.Sprintf("%d. %s %s of %d %q", c.Position, c.Endpoint, c.Reason, c.Index, c.Label)
	}
	return lines
}

// silentWorld is a request and a network in which no host answers.
type silentWorld struct {
	net  *network
	req  RaceRequest
	rng  *rand.Rand
	tick time.Duration // no two answers come in the same moment
}

func newSilentWorld(t *testing.T, seed uint64) *silentWorld {
	w := &silentWorld{net: newNetwork(t), rng: rand.New(rand.NewPCG(seed, 1))}
	if w.rng.IntN(4) == 0 {
		w.net.unrouted = []netip.Prefix{netip.MustParsePrefix("2001:db8:0:1::/64")}
	}
	if w.rng.IntN(2) == 0 {
		w.req.Target.Name = w.name("one.example")
	} else {
		w.candidates()
	}
	w.selection()
	w.options()
	return w
}

// name puts a name and its hosts into the network, and returns an endpoint.
func (w *silentWorld) name(name string) string {
	for _, t := range []sched.RecordType{sched.AAAA, sched.A} {
		w.tick += 7*time.Microsecond + 1
		after := time.Duration(w.rng.IntN(400))*ms + w.tick
		switch w.rng.IntN(8) {
		case 0:
			w.net.answers(name, t, after, sched.NotFound)
		case 1:
			w.net.answers(name, t, after, sched.Broken)
		case 2:
			w.net.names[sched.Question{Name: name, Type: t}] = reply{never: true}
		default:
			w.net.resolves(name, t, after, w.addresses(t)...)
		}
	}
	return name + ":443"
}

// addresses are few, so that names share some; one is denied.
func (w *silentWorld) addresses(t sched.RecordType) []string {
	pool := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1", "10.0.0.1", "169.254.0.1"}
	if t == sched.AAAA {
		pool = []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "fd00::1", "::ffff:192.0.2.1", "fe80::1"}
	}
	w.rng.Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
	found := pool[:1+w.rng.IntN(len(pool)-1)]
	for _, a := range found {
		w.net.hosts[netip.AddrPortFrom(netip.MustParseAddr(a).Unmap(), 443)] = []host{silent}
	}
	return found
}

func (w *silentWorld) candidates() {
	for i := range 1 + w.rng.IntN(4) {
		spec := CandidateSpec{Label: fmt.Sprintf("number %d", i)}
		if w.rng.IntN(2) == 0 {
			spec.Endpoint = w.name(fmt.Sprintf("n%d.example", i))
		} else {
			addr := netip.MustParseAddr(w.addresses(sched.RecordType(1 + w.rng.IntN(2)))[0])
			spec.Endpoint = netip.AddrPortFrom(addr, 443).String()
		}
		w.known(&spec)
		w.req.Target.Candidates = append(w.req.Target.Candidates, spec)
	}
}

// known is what the caller knows of a candidate, if anything.
func (w *silentWorld) known(spec *CandidateSpec) {
	if w.rng.IntN(3) == 0 {
		spec.ExpectedRTT = time.Duration(1+w.rng.IntN(400)) * ms
	}
	if w.rng.IntN(3) == 0 {
		for range 1 + w.rng.IntN(5) {
			spec.PastConnects = append(spec.PastConnects, time.Duration(1+w.rng.IntN(400))*ms)
		}
	}
}

func (w *silentWorld) selection() {
	s := &w.req.Selection
	s.PreferredFamily = addrsel.Family(w.rng.IntN(3))
	if w.rng.IntN(6) == 0 {
		s.OnlyFamily = addrsel.Family(1 + w.rng.IntN(2))
		s.PreferredFamily = addrsel.FamilyAny
	}
	s.FirstFamilyCount = w.rng.IntN(3)
	s.MaxAddressesPerAnswer = w.rng.IntN(4)
	if delay := time.Duration(w.rng.IntN(200)) * ms; w.rng.IntN(2) == 0 {
		s.ResolutionDelay = &delay
	}
}

func (w *silentWorld) options() {
	o := &w.req.Options
	o.Strategy = everyStrategy[w.rng.IntN(len(everyStrategy))]
	o.Version = sched.Version(w.rng.IntN(2))
	if w.rng.IntN(3) == 0 {
		o.DelayMultiplier = 1 + 2*w.rng.Float64()
	}
	if w.rng.IntN(2) == 0 {
		o.Quantile = w.rng.Float64()
	}
	if w.rng.IntN(3) > 0 {
		o.MaxBackups = new(w.rng.IntN(4))
	}
	o.Grace = time.Duration(w.rng.IntN(2)) * time.Second // nobody wins
	o.AttemptTimeout = time.Duration(50+w.rng.IntN(1500)) * ms
	o.Timeout = time.Duration(500+w.rng.IntN(5000)) * ms
	o.MaxInFlight = w.rng.IntN(4)
	if delay := time.Duration(w.rng.IntN(500)) * ms; w.rng.IntN(2) == 0 {
		o.AttemptDelay = &delay
	}
}
