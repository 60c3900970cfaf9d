package racer

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/internal/netlab/topology"
	"github.com/connrace/connrace/racer/sched"
	"github.com/connrace/connrace/racer/sim"
)

// agreements are races for site.example, port 80, in the labs of examples/lab.
var agreements = []struct {
	lab     string
	how     string
	known   CandidateSpec // of the name
	options Options
}{
	{lab: "broken-v6", how: "staggered"},
	{lab: "broken-v6", how: "grace", options: Options{Grace: 200 * ms}},
	{lab: "broken-v6", how: "first then all", options: Options{Strategy: sched.FirstThenAll}}, // and a backup
	{lab: "one-of-four-dead", how: "staggered"},
	{lab: "one-of-four-dead", how: "multiplier", options: Options{AttemptDelay: new(100 * ms), DelayMultiplier: 2}},
	{lab: "lost-syn", how: "backup"},
	{lab: "lost-syn", how: "no backup", options: Options{MaxBackups: new(0)}},
	{lab: "lost-syn", how: "grace", options: Options{Grace: time.Second}}, // the first SYN is sent again in it
	{
		lab: "lost-syn", how: "adaptive",
		known: CandidateSpec{ExpectedRTT: 20 * ms}, options: Options{Strategy: sched.Adaptive},
	},
	{lab: "slow-aaaa", how: "staggered"},
	{lab: "slow-aaaa", how: "sequential", options: Options{Strategy: sched.Sequential}},
	{lab: "refused-first", how: "staggered"},
	{lab: "refused-first", how: "first then all", options: Options{Strategy: sched.FirstThenAll, AttemptDelay: new(2 * time.Second)}},
	{lab: "six-addresses", how: "staggered"},
	{lab: "six-addresses", how: "sequential", options: Options{Strategy: sched.Sequential, AttemptTimeout: 200 * ms}},
	{lab: "six-addresses", how: "all at once", options: Options{Strategy: sched.AllAtOnce}},
	{lab: "six-addresses", how: "all at once, grace", options: Options{Strategy: sched.AllAtOnce, Grace: 250 * ms}},
	// A backup would be due in the moment of the win.
	{lab: "six-addresses", how: "first then all", options: Options{Strategy: sched.FirstThenAll, MaxBackups: new(0)}},
	{lab: "six-addresses", how: "family fallback", options: Options{Strategy: sched.FamilyFallback}},
	{
		lab: "six-addresses", how: "adaptive",
		known: CandidateSpec{ExpectedRTT: 30 * ms}, options: Options{Strategy: sched.Adaptive},
	},
	{
		lab: "six-addresses", how: "quantile, grace",
		known:   CandidateSpec{PastConnects: []time.Duration{20 * ms, 40 * ms, 60 * ms, 80 * ms}},
		options: Options{Strategy: sched.Adaptive, Quantile: 0.75, Grace: 100 * ms},
	},
}

// The same race in the simulator, in the engine with a network in virtual time, and in
// a lab with real sockets is the same list of events and candidates. In virtual time
// the offsets are equal; in the lab they are within 25 ms, by our own clock and by the
// wire's.
func TestThreeWorldsAgree(t *testing.T) {
	for _, a := range agreements {
		t.Run(a.lab+", "+a.how, func(t *testing.T) {
			file := "../examples/lab/" + a.lab + ".yaml"
			described, err := topology.Load(file)
			must(t, err)
			spec := a.known
			spec.Endpoint = site
			req := RaceRequest{Target: Target{Candidates: []CandidateSpec{spec}}, Options: a.options}

			simulated := simulate(t, described, req)
			virtual := instants(raceInBubble(t, described, req))
			if diff := differ(virtual, simulated); diff != "" {
				t.Errorf("the engine in virtual time and the simulator differ: %s", diff)
			}
			for i := range min(len(virtual), len(simulated)) {
				if virtual[i].at != simulated[i].at {
					t.Errorf("%s: at %v in virtual time, and at %v in the simulator", virtual[i].words, virtual[i].at, simulated[i].at)
				}
			}
			netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) {
				scene := netlabtest.Build(t, file)
				r := raceInLab(t, scene, req)
				agree(watch, "the race in the lab", simulated, alike(linesOf(&r.Run), simulated))
				started := onWire(simulated)
				agree(watch, "the wire", started, alike(sockets(t, scene.Lab, &r.Run), started))
			})
		})
	}
}

// site is the name all labs have, in full.
const site = "site.example.:80"

// line is one line of a transcript in the words of all three worlds.
type line struct {
	at      time.Duration
	subject string // a question, an attempt, or the race
	words   string
}

func (l line) String() string { return l.at.String() + " " + l.words }

// simulate is the race in the simulator.
func simulate(t *testing.T, described *topology.Topology, req RaceRequest) []line {
	t.Helper()
	w, err := sim.FromLab(described, "site.example", 80)
	must(t, err)
	for i := range w.Backends {
		w.Backends[i].Known = expectation(&req.Target.Candidates[0])
	}
	cfg := mustPlan(t, req).cfg
	return instants(lines(cfg.Questions, sim.Race(w, cfg)))
}

// raceInBubble is the race in the engine, with a network in virtual time.
func raceInBubble(t *testing.T, described *topology.Topology, req RaceRequest) (seen []line) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.furnish(described)
		r, err := n.racer().Race(t.Context(), req)
		must(t, err)
		checkRace(t, r)
		seen = linesOf(&r.Run)
	})
	return seen
}

// furnish makes the network what a client of the lab meets at port 80.
func (n *network) furnish(described *topology.Topology) {
	n.client = described.Client
	asking := 2 * described.Resolver.Path.Delay
	for _, name := range described.Names {
		for kind, a := range map[sched.RecordType]*topology.Answer{sched.AAAA: name.AAAA, sched.A: name.A} {
			if a == nil {
				n.answers(name.Name+".", kind, asking, sched.NotFound)
				continue
			}
			var addrs []string
			for _, addr := range a.Addresses {
				addrs = append(addrs, addr.String())
			}
			n.resolves(name.Name+".", kind, asking+a.Delay, addrs...)
		}
	}
	for _, h := range described.Hosts {
		for _, addr := range h.Addresses {
			n.hosts[netip.AddrPortFrom(addr, 80)] = metAt(h)
		}
	}
}

// metAt is what one dial after the other meets at a host of a lab.
func metAt(h topology.Host) []host {
	roundTrip := 2 * h.Path.Delay
	met := connects(roundTrip)
	switch {
	case h.Path.State == link.Blackhole:
		met = silent
	case h.Path.State == link.HostUnreachable:
		met = fails(syscall.EHOSTUNREACH, roundTrip)
	case h.Path.State == link.TCPReset, len(h.Ports) == 0:
		met = refuses(roundTrip)
	}
	if slices.Equal(h.Path.LoseSYN, []int{1}) { // the kernel sends the first dial's again
		return []host{connects(sched.SecondSYN + roundTrip), met}
	}
	return []host{met}
}

func raceInLab(t *testing.T, scene *netlab.Scene, req RaceRequest) *RaceResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := New(Config{DNSServer: scene.DNS.Addr()}).Race(ctx, req)
	must(t, err)
	checkRace(t, r)
	return r
}

func linesOf(r *Run) []line {
	entries := make([]sched.Entry, len(r.Transcript))
	for i, e := range r.Transcript {
		entries[i] = e.Entry
	}
	questions := make([]sched.Question, len(r.Queries))
	for i, q := range r.Queries {
		questions[i] = sched.Question{Name: q.Name, Type: q.Type}
	}
	return lines(questions, entries)
}

// lines puts a transcript into words that do not hang on how candidates and attempts
// were numbered: two answers of one moment come in any order, and bring the numbers.
func lines(questions []sched.Question, log []sched.Entry) []line {
	l := linguist{questions: questions, endpoints: make(map[int]string)}
	var said []line
	for _, e := range log {
		subject, words := l.event(&e.Event)
		if e.Action.Kind != 0 {
			subject, words = l.action(&e.Action)
		}
		said = append(said, line{e.At, subject, words})
	}
	return said
}

// linguist knows what the numbers of a transcript mean.
type linguist struct {
	questions []sched.Question
	endpoints map[int]string // by candidate
	attempts  []string       // their subjects
}

func (l *linguist) action(a *sched.Action) (subject, words string) {
	switch a.Kind {
	case sched.Query:
		subject = l.questions[a.Question].Type.String()
		return subject, "query " + subject
	case sched.Start:
		subject = l.endpoints[a.Candidate]
		if a.Trigger == sched.TriggerBackup {
			subject += " again"
		}
		l.attempts = append(l.attempts, subject)
		return subject, fmt.Sprintf("start %s (%s, %v %s)", subject, spokenTrigger(a.Trigger), a.Delay, a.Basis)
	case sched.Cancel:
		subject = l.attempts[a.Attempt]
		return subject, fmt.Sprintf("cancel %s (%s)", subject, a.Cause)
	case sched.Won:
		subject = l.attempts[a.Attempt]
		return subject, "won " + subject
	case sched.Settle:
		return "the race", fmt.Sprintf("settle %s %s %s", l.endpoints[a.Candidate], a.Outcome, a.Reason)
	default:
		return "the race", fmt.Sprintf("%s (%s)", a.Kind, a.End)
	}
}

// spokenTrigger makes one word of two where all start at once: which of the two it is
// hangs on which of two answers of one moment the race learned of first.
func spokenTrigger(t sched.Trigger) string {
	if t == sched.TriggerNewAddress {
		t = sched.TriggerAllAtOnce
	}
	return t.String()
}

func (l *linguist) event(e *sched.Event) (subject, words string) {
	switch e.Kind {
	case sched.Resolved:
		subject = l.questions[e.Question].Type.String()
		words = fmt.Sprintf("resolved %s %s", subject, e.Answer)
		for _, c := range e.Candidates {
			l.endpoints[c.ID] = c.Endpoint.Addr().String()
			words += " " + l.endpoints[c.ID]
		}
	case sched.Started, sched.Connected, sched.Failed, sched.Cancelled:
		subject = l.attempts[e.Attempt]
		words = fmt.Sprintf("%s %s %s", e.Kind, subject, e.Failure.Errno)
	}
	return subject, strings.TrimSpace(words)
}

// instants puts what happened in one moment of virtual time into a canonical order:
// that of the subjects, and for each subject the one in which it happened. Subjects
// may swap in one moment, since they come from goroutines, sockets and packets of
// their own: two answers, the SYNs of several attempts, losers that are given up.
func instants(said []line) []line {
	said = slices.Clone(said)
	for from := 0; from < len(said); {
		to := from
		for to < len(said) && said[to].at == said[from].at {
			to++
		}
		slices.SortStableFunc(said[from:to], bySubject)
		from = to
	}
	return said
}

func bySubject(a, b line) int { return strings.Compare(a.subject, b.subject) }

// alike puts what happened in real time into the order of instants, by the moments
// that the others have in virtual time: where these have five lines of one moment, it
// must be the same five here.
func alike(said, others []line) []line {
	said = slices.Clone(said)
	for from := 0; from < len(said); {
		to := from
		for to < len(said) && to < len(others) && others[to].at == others[from].at {
			to++
		}
		if to == from {
			break // the others have no more
		}
		slices.SortStableFunc(said[from:to], bySubject)
		from = to
	}
	return said
}

// differ says where two lists of lines differ in words; empty: nowhere.
func differ(got, want []line) string {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("%q is missing", want[i])
		case i >= len(want):
			return fmt.Sprintf("%q is too much", got[i])
		case got[i].words != want[i].words:
			return fmt.Sprintf("it is %q instead of %q, in\n%s\nand\n%s", got[i], want[i], told(got), told(want))
		}
	}
	return ""
}

func told(said []line) string {
	texts := make([]string, len(said))
	for i, l := range said {
		texts[i] = l.String()
	}
	return strings.Join(texts, "\n")
}

// A kernel counts the second after which it sends a SYN again in ticks of its own: of
// 4 ms, and of 32 ms so far ahead, with 250 a second. That is not ours to be late.
const (
	tick     = 4 * ms
	longTick = 32 * ms
)

// agree holds that a list of lines is the one that was simulated, with offsets within
// 25 ms.
func agree(watch *netlabtest.Watch, what string, simulated, seen []line) {
	if diff := differ(seen, simulated); diff != "" {
		watch.Doubt(what + ": " + diff)
		return
	}
	for i, l := range simulated {
		least, most := l.at, l.at+netlabtest.Slack
		if l.at >= sched.SecondSYN {
			least, most = least-tick, most+longTick
		}
		watch.Between(what+": "+l.words, seen[i].at, least, most)
	}
}

// onWire are the lines of which the wire sees something: an attempt has a socket of
// its own, and its first SYN leaves when it has started.
func onWire(said []line) (syns []line) {
	for _, l := range said {
		if strings.HasPrefix(l.words, sched.Started.String()) {
			syns = append(syns, line{l.at, l.subject, "SYN to " + address(l.subject)})
		}
	}
	return syns
}

func address(subject string) string { return strings.TrimSuffix(subject, " again") }

// sockets are the first SYNs of all sockets, as the wire saw them.
func sockets(t *testing.T, lab *netlab.Lab, r *Run) (syns []line) {
	t.Helper()
	packets, err := lab.Packets()
	must(t, err)
	seen := make(map[netip.AddrPort]bool)
	tried := make(map[netip.Addr]bool)
	for _, p := range packets {
		if p.Kind != link.SYN || seen[p.From] {
			continue
		}
		subject := p.To.Addr().String()
		if tried[p.To.Addr()] {
			subject += " again"
		}
		seen[p.From], tried[p.To.Addr()] = true, true
		syns = append(syns, line{lab.Time(p.Sent).Sub(r.Start), subject, "SYN to " + address(subject)})
	}
	return syns
}

// The races of TestThreeWorldsAgree have something of everything.
func TestAgreementsAreOfEveryKind(t *testing.T) {
	labs, strategies := make(map[string]bool), make(map[sched.Strategy]bool)
	words := make(map[string]bool)
	for _, a := range agreements {
		labs[a.lab], strategies[a.options.Strategy] = true, true
		described, err := topology.Load("../examples/lab/" + a.lab + ".yaml")
		must(t, err)
		spec := a.known
		spec.Endpoint = site
		for _, l := range simulate(t, described, RaceRequest{Target: Target{Candidates: []CandidateSpec{spec}}, Options: a.options}) {
			for _, word := range strings.FieldsFunc(l.words, func(r rune) bool { return strings.ContainsRune(" (),", r) }) {
				words[word] = true
			}
		}
	}
	if len(labs) < 6 || len(strategies) != len(everyStrategy) {
		t.Errorf("they are in the labs %v with the strategies %v", slices.Sorted(maps.Keys(labs)), strategies)
	}
	for _, word := range []string{
		"backup", "failure", "attempt_delay", "connected_late", "timed_out", "failed", "not_started", "not_found",
		"retransmission_timeout", "quantile", "again", "ECONNREFUSED", "EHOSTUNREACH",
	} {
		if !words[word] {
			t.Errorf("none of them has %q", word)
		}
	}
}
