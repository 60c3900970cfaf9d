package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/connrace/connrace/internal/netlab/topology"
	pb "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
	"github.com/connrace/connrace/racer/sim"
)

// example is one of the labs that come with the project.
func example(name string) string { return filepath.Join("..", "..", "examples", "lab", name) }

// simulated prints a simulation as text.
func simulated(t *testing.T, args ...string) string {
	t.Helper()
	var stdout bytes.Buffer
	exits(t.Context(), t, exitOK, &stdout, append([]string{"sim"}, args...)...)
	return stdout.String()
}

// The same seed makes the same tables, another one makes others, and so does
// another kind; each kind has a table of its own, with a row for each dialer.
func TestSimIsRepeatable(t *testing.T) {
	t.Parallel()
	args := []string{"--worlds", "20", "--kinds", "one_dead,LOSSY", "--dialers", "staggered,net.dialer"}
	first := simulated(t, append(args, "--seed", "7")...)
	if again := simulated(t, append(args, "--seed", "7")...); again != first {
		t.Errorf("the same seed made\n%s\nand then\n%s", first, again)
	}
	if other := simulated(t, append(args, "--seed", "8")...); other == first {
		t.Error("another seed made the same tables")
	}
	var tables []string
	for line := range strings.Lines(first) {
		switch word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word {
		case "one-dead", "lossy", "crowd", "DIALER", "staggered", "net.Dialer":
			tables = append(tables, word)
		}
	}
	want := []string{
		"one-dead", "DIALER", "staggered", "net.Dialer", "lossy", "DIALER", "staggered", "net.Dialer",
		"crowd", "DIALER", "staggered", "net.Dialer",
	}
	if !slices.Equal(tables, want) {
		t.Errorf("the tables are %q, want %q, in\n%s", tables, want, first)
	}
}

// What programs read is the same as what people see.
func TestSimJSON(t *testing.T) {
	t.Parallel()
	var report struct {
		Seed             uint64
		WorldsOfEachKind int
		Rows             []simRow
		Spreads          []simSpread
	}
	decodeJSON(t, simulated(t, "--worlds", "30", "--kinds", "healthy,mixed", "--dialers", "connie,staggered", "-o", "json"), &report)
	if report.Seed != 1 || report.WorldsOfEachKind != 30 || len(report.Rows) != 4 || len(report.Spreads) != 6 {
		t.Fatalf("%+v", report)
	}
	for i, want := range []string{"healthy connie", "healthy staggered", "mixed connie", "mixed staggered"} {
		r := report.Rows[i]
		if r.World+" "+r.Dialer != want || r.Worlds+r.Impossible != 30 || r.P50 == nil || *r.P50 <= 0 || r.SYNs == nil || *r.SYNs < 1 {
			t.Errorf("row %d is %+v, want that of %s", i, r, want)
		}
	}
	// In the crowd all take the first address but those who race all at once.
	for _, s := range report.Spreads {
		if herd := s.Effective == 1; herd != (s.Dialer == "staggered" && s.Order == "fixed") || len(s.Shares) != 4 {
			t.Errorf("%+v", s)
		}
	}
}

// Failures stand out, and columns that have no room are left out.
func TestSimReport(t *testing.T) {
	t.Parallel()
	ms := time.Millisecond
	report := simReport{seed: 5, worlds: 100, kinds: []sim.Kind{sim.SlowDNS, sim.Mixed}, rows: []sim.Row{
		{World: "slow_dns", Dialer: "first_then_all", Worlds: 98, Impossible: 2, P50: 20 * ms, P90: 30 * ms, P99: 1200 * ms, P999: 2 * time.Second, Regret: 1500 * time.Microsecond, SYNs: 1.126, InVain: 0.004},
		{World: "slow_dns", Dialer: "curl 7.88", Worlds: 98, Impossible: 2, Failures: 3, P50: 21 * ms, P90: 31 * ms, P99: sim.Never, P999: sim.Never, Regret: time.Second, SYNs: 2, HalfOpen: 1},
	}}
	for _, order := range []string{"fixed", "shuffled"} {
		report.crowds = append(report.crowds, []sim.Spread{{Dialer: "curl 7.88", Effective: 3.999, Row: sim.Row{World: order, P50: 31 * ms}}})
	}
	for width, want := range map[int]string{
		100: `100 worlds of each of 2 kinds · seed 5

slow-dns · one of the two answers of DNS is late, or never comes · 98 worlds
  2 more have no address that works
DIALER          MEDIAN    P90    P99  P99.9  FAILED  REGRET  SYNS  IN VAIN  HALF OPEN
first-then-all   20 ms  30 ms  1.2 s    2 s       0  1.5 ms  1.13     0.00       0.00
curl-7.88        21 ms  31 ms  never  never       3     1 s  2.00     0.00       1.00
`,
		60: `100 worlds of each of 2 kinds · seed 5

slow-dns
  one of the two answers of DNS is late, or never comes
  98 worlds · 2 more have no address that works
DIALER          MEDIAN    P99  FAILED  REGRET  SYNS  IN VAIN
first-then-all   20 ms  1.2 s       0  1.5 ms  1.13     0.00
curl-7.88        21 ms  never       3     1 s  2.00     0.00
`,
	} {
		var b bytes.Buffer
		report.print(&b, style{width: width})
		if !strings.HasPrefix(b.String(), want) || !strings.Contains(b.String(), `
DIALER     DNS fixed  MEDIAN  DNS shuffled  MEDIAN
curl-7.88       4.00   31 ms          4.00   31 ms
`) {
			t.Errorf("width %d:\n%swant\n%s", width, &b, want)
		}
		checkLines(t, "the report", b.String(), width)
	}
	var b bytes.Buffer
	report.print(&b, style{width: 100, color: true})
	if got := strings.Count(b.String(), "\x1b[31m"); got != 3 { // never, never, 3
		t.Errorf("%d cells are red:\n%s", got, &b)
	}
}

// What never comes is null, and what there is nothing to measure of.
func TestSimNeverIsNull(t *testing.T) {
	t.Parallel()
	r := simRowOf(&sim.Row{Worlds: 3, Failures: 1, P50: 1500 * time.Microsecond, P90: time.Second, P99: sim.Never, P999: sim.Never})
	if r.P50 == nil || *r.P50 != 1.5 || r.P90 == nil || *r.P90 != 1000 || r.P99 != nil || r.P999 != nil || r.Regret == nil || r.SYNs == nil {
		t.Errorf("%+v", r)
	}
	r = simRowOf(&sim.Row{Worlds: 3, Failures: 3, P50: sim.Never, Regret: time.Second})
	if r.P50 != nil || r.Regret == nil || *r.Regret != 1000 || r.SYNs != nil || r.InVain != nil || r.HalfOpen != nil {
		t.Errorf("without a connection %+v", r)
	}
	if r = simRowOf(&sim.Row{World: "dead", Impossible: 3}); r != (simRow{World: "dead", Impossible: 3}) {
		t.Errorf("where none is possible %+v", r)
	}
}

// Where nothing can connect nobody looks perfect, and what never connects is not the
// cheapest.
func TestSimOfNoConnection(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	p := &page{style: style{width: 100}}
	p.rows("dead", "words", []sim.Row{{World: "dead", Dialer: "curl", Impossible: 3}})
	p.rows("slow", "words", []sim.Row{
		{World: "slow", Dialer: "curl", Worlds: 2, Failures: 2, P50: sim.Never, P90: sim.Never, P99: sim.Never, P999: sim.Never, Regret: time.Second},
	})
	p.writeTo(&b)
	want := `dead · words · 3 worlds · no address works: there is nothing to compare
slow · words · 2 worlds
DIALER  MEDIAN    P90    P99  P99.9  FAILED  REGRET  SYNS  IN VAIN  HALF OPEN
curl     never  never  never  never       2     1 s     -        -          -
`
	if b.String() != want {
		t.Errorf("it says\n%swant\n%s", &b, want)
	}
}

func decodeJSON(t *testing.T, text string, v any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

// In one world, programs get the runs of all dialers and the race.
func TestSimWorldJSON(t *testing.T) {
	t.Parallel()
	var report struct {
		Target, About string
		Seed          uint64
		OracleMs      *float64
		Runs          []simRun
		Rows          []simRow
		Race          json.RawMessage
	}
	decodeJSON(t, simulated(t, "--world", example("broken-v6.yaml"), "site.example:80", "--seed", "3",
		"--dialers", "curl,all-at-once,sequential", "-o", "json"), &report)
	if report.Target != "site.example:80 in broken-v6.yaml" || report.About == "" || report.Seed != 3 ||
		report.OracleMs == nil || *report.OracleMs != 22 || len(report.Runs) != 3 || len(report.Rows) != 3 {
		t.Errorf("%+v", report)
	}
	want := simRun{Dialer: "all_at_once", Connected: true, Time: 22, Address: "198.51.100.1", SYNs: 2, Established: 1}
	if report.Runs[1] != want {
		t.Errorf("got %+v, want %+v", report.Runs[1], want)
	}
	race := new(pb.RaceResponse)
	if err := protojson.Unmarshal(report.Race, race); err != nil {
		t.Fatal(err)
	}
	if race.GetOptions().GetStrategy() != pb.Strategy_STRATEGY_ALL_AT_ONCE || race.GetWinner().GetEndpoint() != "198.51.100.1:80" {
		t.Errorf("the race is not that of the first strategy: %v", race)
	}
}

func TestSimInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	exits(ctx, t, exitInterrupted, io.Discard, "sim", "--dialers", "curl")
	exits(ctx, t, exitInterrupted, io.Discard, "sim", "--dialers", "curl", "--world", example("lost-syn.yaml"), "site.example:80")
}

// Every name that is shown can be typed, and is unlike the others.
func TestChoose(t *testing.T) {
	t.Parallel()
	all, err := chooseDialers(nil)
	if err != nil || len(all) < 14 {
		t.Fatal(len(all), err)
	}
	for _, d := range all {
		for _, name := range []string{d.Name, typed(d.Name), strings.ToUpper(typed(d.Name))} {
			got, err := chooseDialers([]string{name})
			if err != nil || len(got) != 1 || got[0].Name != d.Name {
				t.Errorf("%q chose %v, %v", name, got, err)
			}
		}
		if strings.ContainsAny(typed(d.Name), " _,") {
			t.Errorf("%q must be quoted", typed(d.Name))
		}
	}
	for _, k := range sim.Kinds() {
		got, err := chooseKinds([]string{typed(k.String())})
		if err != nil || len(got) != 1 || got[0] != k {
			t.Errorf("%q chose %v, %v", typed(k.String()), got, err)
		}
		if kindWords(k) == "" {
			t.Errorf("nothing says what %s is like", k)
		}
	}
}

// Each of our strategies can be drawn, and no other program.
func TestStrategyOf(t *testing.T) {
	t.Parallel()
	for _, d := range sim.Strategies() {
		cfg, ours := strategyOf(d)
		if !ours || !strings.HasPrefix(d.Name, cfg.Strategy.String()) {
			t.Errorf("%s is %v, %v", d.Name, cfg.Strategy, ours)
		}
	}
	for _, d := range peers() {
		if _, ours := strategyOf(d); ours {
			t.Errorf("%s is said to be ours", d.Name)
		}
	}
}

// The race that is drawn is the run in the table: same time, same winner, same
// cost. All labs that come with the project can be simulated.
func TestDrawnRaceIsTheRun(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(example("*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		lab, err := topology.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		name, port, err := (&simCmd{World: file, Target: labTarget(lab)}).target(lab)
		if err != nil {
			t.Fatal(err)
		}
		w, err := sim.FromLab(lab, name, port)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range sim.Strategies() {
			cfg, _ := strategyOf(d)
			checkDrawn(t, file+", "+d.Name, w, simulatedRace(w, cfg, port), sim.Run(w, d))
		}
	}
}

func checkDrawn(t *testing.T, where string, w sim.World, race *pb.RaceResponse, run sim.Result) {
	t.Helper()
	winner := race.GetWinner()
	if !run.Connected || winner.GetWinOffset().AsDuration() != run.Time || winner.GetAddress() != w.Backends[run.Backend].Addr.String() {
		t.Errorf("%s: the race is won by %v, the run is %+v", where, winner, run)
	}
	if cost := race.GetCost(); int(cost.GetConnectedCount()) != run.Established || int(cost.GetDroppedCount()) != run.InVain() {
		t.Errorf("%s: the race costs %v, the run %+v", where, cost, run)
	}
	attempts, won := 0, 0
	for i, c := range race.GetCandidates() {
		attempts += len(c.GetAttempts())
		if c.GetOutcome() == pb.Outcome_OUTCOME_UNSPECIFIED || int(c.GetPosition()) != i+1 {
			t.Errorf("%s: candidate %d is %v", where, i, c)
		}
		for _, a := range c.GetAttempts() {
			if a.GetOutcome() == pb.Outcome_OUTCOME_WON && a.GetNumber() == winner.GetAttemptNumber() && c.GetPosition() == winner.GetPosition() {
				won++
			}
			checkDrawnAttempt(t, where, race.GetOptions(), a)
		}
	}
	if won != 1 || attempts != int(race.GetCost().GetAttemptCount()) || race.GetRun().GetEndReason() != pb.EndReason_END_REASON_WON ||
		race.GetRun().GetDuration().AsDuration() != run.Time {
		t.Errorf("%s: %d winners, %d attempts: %v", where, won, attempts, race)
	}
	for _, e := range race.GetRun().GetTranscript() {
		if e.GetKind() == pb.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_UNSPECIFIED {
			t.Errorf("%s: something that is not told happened: %v", where, e)
		}
	}
}

// checkDrawnAttempt demands what an attempt of a daemon's reply has.
func checkDrawnAttempt(t *testing.T, where string, o *pb.RaceOptions, a *pb.Attempt) {
	t.Helper()
	if a.GetEndOffset() == nil || a.GetTrigger() == pb.AttemptTrigger_ATTEMPT_TRIGGER_UNSPECIFIED {
		t.Errorf("%s: an attempt is %v", where, a)
	}
	if a.GetOutcome() == pb.Outcome_OUTCOME_TIMED_OUT && a.GetFailure().GetErrorType() != "timed_out" {
		t.Errorf("%s: an attempt has timed out, and its failure is %v", where, a.GetFailure())
	}
	paced := o.GetStrategy() == pb.Strategy_STRATEGY_STAGGERED || o.GetStrategy() == pb.Strategy_STRATEGY_ADAPTIVE
	if paced && (a.GetAttemptDelay().AsDuration() != sched.DefaultAttemptDelay || a.GetDelayBasis() == pb.DelayBasis_DELAY_BASIS_UNSPECIFIED) {
		t.Errorf("%s: an attempt waits %v for the next one, by %v", where, a.GetAttemptDelay().AsDuration(), a.GetDelayBasis())
	}
}

// Every word of the scheduler has a value in the contract.
func TestNamed(t *testing.T) {
	t.Parallel()
	checkNamed(t, pb.Strategy_value, "STRATEGY_", sched.Staggered)
	checkNamed(t, pb.AttemptTrigger_value, "ATTEMPT_TRIGGER_", sched.TriggerFirst)
	checkNamed(t, pb.DelayBasis_value, "DELAY_BASIS_", sched.BasisConfigured)
	checkNamed(t, pb.GiveUpCause_value, "GIVE_UP_CAUSE_", sched.CauseTimeout)
	checkNamed(t, pb.Outcome_value, "OUTCOME_", sched.OutcomeNotStarted)
	checkNamed(t, pb.EndReason_value, "END_REASON_", sched.EndWon, "caller_left") // there is no caller
	checkNamed(t, pb.RecordType_value, "RECORD_TYPE_", sched.A)
	checkNamed(t, pb.RankReason_value, "RANK_REASON_", addrsel.ReasonUsable)
	checkNamed(t, pb.SkipReason_value, "SKIP_REASON_", sched.SkipNone+1)
	checkNamed(t, pb.Fault_value, "FAULT_", sched.FaultTarget)
}

// checkNamed goes through all values from the first one on.
func checkNamed[W interface {
	~uint8
	String() string
}](t *testing.T, values map[string]int32, prefix string, first W, without ...string,
) {
	t.Helper()
	seen := make(map[int32]bool)
	for w := first; w.String() != "?"; w++ {
		v := named[int32](values, prefix, w)
		if (v == 0) == !slices.Contains(without, w.String()) || v != 0 && seen[v] {
			t.Errorf("%s is %s%d", w, prefix, v)
		}
		seen[v] = true
	}
	if len(seen) < 2 {
		t.Errorf("%s has no values", prefix)
	}
}
