package server_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// Short names for the strategies.
const (
	staggered      = connracev1.Strategy_STRATEGY_STAGGERED
	oneByOne       = connracev1.Strategy_STRATEGY_SEQUENTIAL
	allAtOnce      = connracev1.Strategy_STRATEGY_ALL_AT_ONCE
	firstThenAll   = connracev1.Strategy_STRATEGY_FIRST_THEN_ALL
	familyFallback = connracev1.Strategy_STRATEGY_FAMILY_FALLBACK
	adaptive       = connracev1.Strategy_STRATEGY_ADAPTIVE
)

// inEffect returns what a race makes of options, and with which warnings. A
// ranking must make the same of them, but for what it has no use for.
func inEffect(t *testing.T, d *daemon, asked *connracev1.RaceOptions) (*connracev1.RaceOptions, *connracev1.Run) {
	t.Helper()
	race, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{Target: denied, Options: asked})
	must(t, err)
	rank, err := d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{Target: denied, Options: asked})
	must(t, err)
	want := proto.CloneOf(race.GetOptions())
	warnings := slices.Concat(race.GetRun().GetWarnings(), uselessToRank(asked))
	want.Grace, want.Criterion, want.CloseWithFin = nil, nil, false
	same(t, rank.GetOptions(), want)
	same(t, &connracev1.Run{Warnings: rank.GetRun().GetWarnings()}, &connracev1.Run{Warnings: warnings})
	return race.GetOptions(), race.GetRun()
}

// uselessToRank is what a ranking warns of.
func uselessToRank(asked *connracev1.RaceOptions) (all []*connracev1.Warning) {
	for _, f := range []struct {
		set  bool
		name string
	}{
		{asked.GetGrace().AsDuration() != 0, "options.grace"},
		{asked.GetCriterion() != nil, "options.criterion"},
		{asked.GetCloseWithFin(), "options.close_with_fin"},
	} {
		if f.set {
			all = append(all, &connracev1.Warning{Field: f.name, Message: "has no effect: a ranking connects to nothing"})
		}
	}
	return all
}

// What a reply says of the options when nothing but the strategy is set: one that
// has no use for an option says so by leaving it out.
func TestDefaultOptions(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for strategy, change := range map[connracev1.Strategy]func(*connracev1.RaceOptions){
		0:         func(o *connracev1.RaceOptions) { o.Strategy = staggered },
		staggered: func(*connracev1.RaceOptions) {},
		oneByOne: func(o *connracev1.RaceOptions) {
			o.AttemptDelay, o.AttemptDelayMultiplier, o.MaxBackupAttempts = nil, 0, proto.Int32(0)
		},
		allAtOnce:      func(o *connracev1.RaceOptions) { o.AttemptDelay, o.AttemptDelayMultiplier = nil, 0 },
		firstThenAll:   func(o *connracev1.RaceOptions) { o.AttemptDelayMultiplier = 0 },
		familyFallback: func(o *connracev1.RaceOptions) { o.AttemptDelay, o.AttemptDelayMultiplier = milliseconds(300), 0 },
		adaptive:       func(*connracev1.RaceOptions) {},
	} {
		want := proto.CloneOf(defaultOptions)
		want.Strategy = strategy
		change(want)
		got, run := inEffect(t, d, &connracev1.RaceOptions{Strategy: strategy})
		same(t, got, want)
		if len(run.GetWarnings()) > 0 {
			t.Errorf("%v: nobody asked for what %v warn of", strategy, run.GetWarnings())
		}
	}
	got, _ := inEffect(t, d, nil)
	same(t, got, defaultOptions)
}

func milliseconds(n int) *durationpb.Duration {
	return durationpb.New(time.Duration(n) * time.Millisecond)
}

// The options of the request come back as they are used, each of them set to
// something that is not its default.
func TestOptionsAreEchoed(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for _, asked := range []*connracev1.RaceOptions{{
		Strategy:               adaptive,
		Version:                connracev1.HappyEyeballsVersion_HAPPY_EYEBALLS_VERSION_V2,
		AttemptDelay:           milliseconds(300),
		AttemptDelayMultiplier: 1.5,
		AdaptiveQuantile:       0.95,
		MaxBackupAttempts:      proto.Int32(3),
		Grace:                  milliseconds(700),
		AttemptTimeout:         durationpb.New(time.Second),
		Timeout:                durationpb.New(2 * time.Second),
		MaxInFlight:            4,
	}, {
		Strategy:          familyFallback,
		Version:           connracev1.HappyEyeballsVersion_HAPPY_EYEBALLS_VERSION_V3,
		AttemptDelay:      milliseconds(250), // the default of all others
		MaxBackupAttempts: proto.Int32(0),
		Grace:             durationpb.New(0),
		AttemptTimeout:    durationpb.New(time.Second),
		Timeout:           durationpb.New(2 * time.Second),
		MaxInFlight:       4,
	}} {
		got, run := inEffect(t, d, asked)
		same(t, got, asked)
		if len(run.GetWarnings()) > 0 {
			t.Errorf("%v: warnings are %v", asked, run.GetWarnings())
		}
	}
}

func TestSelectionIsEchoed(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	selection := &connracev1.SelectionOptions{
		OnlyFamily:              connracev1.AddressFamily_ADDRESS_FAMILY_IPV6,
		PreferredFamily:         connracev1.AddressFamily_ADDRESS_FAMILY_IPV6,
		FirstAddressFamilyCount: 2,
		ResolutionDelay:         durationpb.New(0),
		MaxAddressesPerAnswer:   3,
	}
	reply, err := d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{Target: "127.0.0.1:80", Selection: selection})
	must(t, err)
	same(t, reply.GetRun().GetSelection(), selection)
	if len(reply.GetRun().GetWarnings()) > 0 {
		t.Errorf("warnings are %v", reply.GetRun().GetWarnings())
	}
}

// An attempt delay outside the RFC's bounds is put into them, one below its
// recommendation is taken, and both are said.
func TestAttemptDelayIsWarnedOf(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for _, c := range []struct {
		strategy connracev1.Strategy
		asked    time.Duration
		want     *durationpb.Duration
		says     []string // the warning
	}{
		{0, 0, milliseconds(10), []string{"0s", "10ms", "2s", "RFC 8305"}},
		{0, time.Nanosecond, milliseconds(10), []string{"1ns", "10ms", "2s", "RFC 8305"}},
		{0, 3 * time.Second, milliseconds(2000), []string{"3s", "10ms", "2s", "RFC 8305"}},
		{0, 50 * time.Millisecond, milliseconds(50), []string{"50ms", "100ms", "RFC 8305"}},
		{0, 100 * time.Millisecond, milliseconds(100), nil},
		{0, 2 * time.Second, milliseconds(2000), nil},
		{adaptive, 50 * time.Millisecond, milliseconds(50), []string{"50ms", "100ms", "RFC 8305"}},
		{familyFallback, 3 * time.Second, milliseconds(2000), []string{"3s", "10ms", "2s", "RFC 8305"}},
		{oneByOne, 250 * time.Millisecond, nil, []string{"no effect", "sequential"}},
		{allAtOnce, 250 * time.Millisecond, nil, []string{"no effect", "all at once"}},
	} {
		got, run := inEffect(t, d, &connracev1.RaceOptions{Strategy: c.strategy, AttemptDelay: durationpb.New(c.asked)})
		if !proto.Equal(got.GetAttemptDelay(), c.want) {
			t.Errorf("%v of %v: the delay is %v, want %v", c.asked, c.strategy, got.GetAttemptDelay(), c.want)
		}
		warns(t, run, "options.attempt_delay", c.says)
	}
}

// An option that the strategy has no use for is accepted, left out of the reply,
// and warned of.
func TestUselessOptionsAreWarnedOf(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for field, c := range map[string]struct {
		asked  *connracev1.RaceOptions
		useful []connracev1.Strategy
		none   func(*connracev1.RaceOptions) bool // the reply has it no more
	}{
		"options.attempt_delay_multiplier": {
			asked:  &connracev1.RaceOptions{AttemptDelayMultiplier: 2},
			useful: []connracev1.Strategy{staggered, adaptive},
			none:   func(o *connracev1.RaceOptions) bool { return o.GetAttemptDelayMultiplier() == 0 },
		},
		"options.adaptive_quantile": {
			asked:  &connracev1.RaceOptions{AdaptiveQuantile: 0.5},
			useful: []connracev1.Strategy{adaptive},
			none:   func(o *connracev1.RaceOptions) bool { return o.GetAdaptiveQuantile() == 0 },
		},
		"options.max_backup_attempts": {
			asked:  &connracev1.RaceOptions{MaxBackupAttempts: proto.Int32(1)},
			useful: []connracev1.Strategy{staggered, allAtOnce, firstThenAll, familyFallback, adaptive},
			none:   func(o *connracev1.RaceOptions) bool { return o.GetMaxBackupAttempts() == 0 },
		},
	} {
		for _, strategy := range []connracev1.Strategy{staggered, oneByOne, allAtOnce, firstThenAll, familyFallback, adaptive} {
			c.asked.Strategy = strategy
			got, run := inEffect(t, d, c.asked)
			says := []string{"no effect"}
			if slices.Contains(c.useful, strategy) {
				says = nil
			}
			if c.none(got) != (says != nil) {
				t.Errorf("%s of %v became %v", field, c.asked, got)
			}
			warns(t, run, field, says)
		}
	}
	// One that says the same as the strategy is not worth a word.
	_, run := inEffect(t, d, &connracev1.RaceOptions{Strategy: oneByOne, MaxBackupAttempts: proto.Int32(0)})
	warns(t, run, "options.max_backup_attempts", nil)
}

// warns wants one warning about the field that says all these words, or none
// when there are no words.
func warns(t *testing.T, run *connracev1.Run, field string, says []string) {
	t.Helper()
	warnings := run.GetWarnings()
	if len(warnings) != min(len(says), 1) {
		t.Errorf("warnings are %v, want %d of %s that says %q", warnings, min(len(says), 1), field, says)
		return
	}
	for _, w := range warnings {
		for _, word := range says {
			if w.GetField() != field || !strings.Contains(w.GetMessage(), word) {
				t.Errorf("the warning is %v, want one of %s that says %q", w, field, word)
			}
		}
	}
}

// The bounds of the options are allowed, and come back.
func TestGoodOptions(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for _, asked := range []*connracev1.RaceOptions{
		{AttemptTimeout: durationpb.New(5 * time.Minute), Timeout: durationpb.New(10 * time.Minute), MaxInFlight: 1000},
		{AttemptTimeout: milliseconds(1), Timeout: milliseconds(1), MaxInFlight: 1},
		{AttemptDelayMultiplier: 1},
		{AttemptDelayMultiplier: 10},
		{Strategy: adaptive, AdaptiveQuantile: math.SmallestNonzeroFloat64},
		{Strategy: adaptive, AdaptiveQuantile: 1},
		{MaxBackupAttempts: proto.Int32(0)},
		{MaxBackupAttempts: proto.Int32(10)},
		{Grace: durationpb.New(1)},
		{Grace: durationpb.New(10 * time.Second)},
	} {
		got, run := inEffect(t, d, asked)
		want := proto.CloneOf(got)
		proto.Merge(want, asked) // what was asked for takes the place of what came
		same(t, got, want)
		if len(run.GetWarnings()) > 0 {
			t.Errorf("%v: warnings are %v", asked, run.GetWarnings())
		}
	}
	got, _ := inEffect(t, d, &connracev1.RaceOptions{Strategy: adaptive, AttemptDelayMultiplier: math.Copysign(0, -1), AdaptiveQuantile: math.Copysign(0, -1)})
	if got.GetAttemptDelayMultiplier() != 1 || got.GetAdaptiveQuantile() != 0 {
		t.Errorf("minus zero became %v, want the defaults", got)
	}
}
