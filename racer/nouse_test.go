package racer

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// known is a target of which the caller knows something, of all candidates but the first.
func known(n int) Target {
	target := literals(n)
	for i := 1; i < n; i++ {
		target.Candidates[i].ExpectedRTT = 20 * ms
	}
	target.Candidates[n-1].PastConnects = []time.Duration{20 * ms}
	return target
}

func wantWarnings(t *testing.T, what string, got, want []Warning) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: warnings are %q, want %q", what, got, want)
	}
}

// What is known of a candidate serves adaptive, and backup attempts. Where there are
// neither the caller is told, once of each field.
func TestKnownInVain(t *testing.T) {
	const why = "has no effect: only adaptive and backup attempts go by it"
	vain := []Warning{
		{"candidates[1].expected_rtt", why + "; nor has it with 1 more of the candidates"},
		{"candidates[2].past_connect_durations", why},
	}
	none := new(0)
	for _, c := range []struct {
		name    string
		target  Target
		options Options
		want    []Warning
	}{
		{"staggered, backups", known(3), Options{}, nil},
		{"staggered, no backups", known(3), Options{MaxBackups: none}, vain},
		{"sequential", known(3), Options{Strategy: sched.Sequential}, vain},
		{"all at once, no backups", known(3), Options{Strategy: sched.AllAtOnce, MaxBackups: none}, vain},
		{"all at once, backups", known(3), Options{Strategy: sched.AllAtOnce}, nil},
		{"adaptive, no backups", known(3), Options{Strategy: sched.Adaptive, MaxBackups: none}, nil},
		{"nothing known", literals(3), Options{Strategy: sched.Sequential}, nil},
		{"one", known(2), Options{Strategy: sched.Sequential}, []Warning{
			{"candidates[1].expected_rtt", why}, {"candidates[1].past_connect_durations", why},
		}},
	} {
		race, err := (&RaceRequest{Target: c.target, Options: c.options}).plan()
		must(t, err)
		wantWarnings(t, "a race, "+c.name, race.warnings, c.want)
		rank, err := (&RankRequest{Target: c.target, Options: c.options}).plan()
		must(t, err)
		wantWarnings(t, "a ranking, "+c.name, rank.warnings, c.want)
	}
}

// A probe starts all at once and makes no backups, and one of a single round has no
// interval. The result has neither, nor a warning of what nobody asked for.
func TestProbeHasNoUseFor(t *testing.T) {
	const why = "has no effect: a probe starts all attempts at once and makes no backups"
	for _, c := range []struct {
		name     string
		req      ProbeRequest
		interval time.Duration
		want     []Warning
	}{
		{"nothing", ProbeRequest{Target: literals(1)}, 0, nil},
		{"one round", ProbeRequest{Target: literals(1), Rounds: 1, Interval: 20 * ms}, 0, []Warning{{"interval", "has no effect: there is one round"}}},
		{"one round by default", ProbeRequest{Target: literals(1), Interval: DefaultInterval}, 0, []Warning{{"interval", "has no effect: there is one round"}}},
		{"two rounds", ProbeRequest{Target: literals(1), Rounds: 2, Interval: 20 * ms}, 20 * ms, nil},
		{"two rounds, default interval", ProbeRequest{Target: literals(1), Rounds: 2}, DefaultInterval, nil},
		{"what is known", ProbeRequest{Target: known(3)}, 0, []Warning{
			{"candidates[1].expected_rtt", why + "; nor has it with 1 more of the candidates"},
			{"candidates[2].past_connect_durations", why},
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			for _, candidate := range c.req.Target.Candidates {
				n.host(candidate.Endpoint, connects(1*ms))
			}
			r := probe(t.Context(), t, n, c.req)
			wantWarnings(t, c.name, r.Warnings, c.want)
			if r.Interval != c.interval {
				t.Errorf("%s: the interval is %v, want %v", c.name, r.Interval, c.interval)
			}
		})
	}
}

// A watch has use for its interval, in every round.
func TestWatchHasUseForItsInterval(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{0: DefaultInterval, 20 * ms: 20 * ms} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.host("192.0.2.1:443", connects(1*ms))
			err := n.racer().Watch(t.Context(), ProbeRequest{Target: literals(1), Interval: asked}, func(round int64, r *ProbeResult) error {
				wantWarnings(t, "a watch", r.Warnings, nil)
				if r.Interval != want {
					t.Errorf("round %d: the interval is %v, want %v", round, r.Interval, want)
				}
				if round == 3 {
					return errEnough
				}
				return nil
			})
			isEnough(t, err)
		})
	}
}

// A ranking starts no attempt: what only attempts have a use for is not in effect, and
// the caller is told. Its mistakes are told all the same.
func TestRankHasNoUseFor(t *testing.T) {
	const why = "has no effect: a ranking connects to nothing"
	asked := Options{
		Grace: time.Second, Criterion: Criterion{TLS: new(TLSCheck)}, CloseWithFIN: true, Source: Source{IPv4: bound4, Mark: 7, DSCP: 46},
	}
	rank := func(o Options) *RankResult {
		r, err := newNetwork(t).racer().ResolveAndRank(t.Context(), RankRequest{Target: literals(1), Options: o})
		must(t, err)
		return r
	}
	r := rank(asked)
	wantWarnings(t, "a ranking", r.Warnings, []Warning{
		{"options.grace", why}, {"options.criterion", why}, {"options.close_with_fin", why},
	})
	if o := r.Options; o.Grace != 0 || !o.Criterion.IsTCP() || o.CloseWithFIN || o.Source != asked.Source {
		t.Errorf("in effect are %+v", o)
	}
	wantWarnings(t, "one that asks for nothing", rank(Options{}).Warnings, nil)

	race, err := (&RaceRequest{Target: literals(1), Options: asked}).plan()
	must(t, err)
	wantWarnings(t, "a race", race.warnings, nil)
	if o := race.options; o.Grace != asked.Grace || o.Criterion.IsTCP() || !o.CloseWithFIN || o.Source != asked.Source {
		t.Errorf("in effect in a race are %+v", o)
	}
	bad := RankRequest{Target: literals(1), Options: Options{Grace: -1}}.Validate()
	wantProblem(t, fieldErrors(t, bad), "options.grace", "is -1ns")
}
