package server_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// What a caller knows of its candidates.

// distant is a candidate whose round-trip time is known.
func distant(endpoint string, rtt time.Duration) *connracev1.CandidateSpec {
	return &connracev1.CandidateSpec{Endpoint: endpoint, ExpectedRtt: durationpb.New(rtt)}
}

// visited is a candidate that was connected to before.
func visited(endpoint string, took ...time.Duration) *connracev1.CandidateSpec {
	spec := &connracev1.CandidateSpec{Endpoint: endpoint}
	for _, d := range took {
		spec.PastConnectDurations = append(spec.PastConnectDurations, durationpb.New(d))
	}
	return spec
}

// pastly are four candidates of which the last has the past connects, the eighth
// of them this one.
func pastly(eighth *durationpb.Duration) []*connracev1.CandidateSpec {
	specs := addressed(4)
	for range 7 {
		specs[3].PastConnectDurations = append(specs[3].PastConnectDurations, milliseconds(20))
	}
	specs[3].PastConnectDurations = append(specs[3].PastConnectDurations, eighth, milliseconds(20))
	return specs
}

// unknowable are durations that nobody can know of a connect, beside invalid ones.
func unknowable(most time.Duration) []*durationpb.Duration {
	// Valid, and more than a time.Duration holds.
	eternity, before := &durationpb.Duration{Seconds: 315_576_000_000}, &durationpb.Duration{Seconds: -315_576_000_000}
	return append([]*durationpb.Duration{
		durationpb.New(0), durationpb.New(-1), durationpb.New(-time.Hour), durationpb.New(999), durationpb.New(most + 1), eternity, before,
	}, invalid...)
}

// Every duration outside its bounds is named by its place, and so is each of
// several, whoever finds it.
func TestBadKnowledge(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for _, m := range unknowable(time.Minute) {
		specs := addressed(3)
		specs[2].ExpectedRtt = m
		refuses(t, d, &connracev1.RaceRequest{Candidates: specs}, wrong("candidates[2].expected_rtt"))
	}
	for _, m := range unknowable(5 * time.Minute) {
		refuses(t, d, &connracev1.RaceRequest{Candidates: pastly(m)}, wrong("candidates[3].past_connect_durations[7]"))
	}
	tooMany := addressed(2)
	tooMany[1].PastConnectDurations = slices.Repeat([]*durationpb.Duration{invalid[0]}, 101)
	refuses(t, d, &connracev1.RaceRequest{Candidates: tooMany}, wrong("candidates[1].past_connect_durations", "101", "100"))

	many := pastly(durationpb.New(0))
	many[0].ExpectedRtt = invalid[0]
	many[1].ExpectedRtt = durationpb.New(time.Hour)
	many[1].PastConnectDurations = []*durationpb.Duration{milliseconds(1), invalid[0], durationpb.New(-1)}
	many[2].Endpoint = ""
	refuses(t, d, &connracev1.RaceRequest{Candidates: many},
		wrong("candidates[0].expected_rtt", "0.25s"),
		wrong("candidates[1].expected_rtt", "1h0m0s", "1µs to 1m0s"),
		wrong("candidates[1].past_connect_durations[1]", "0.25s"),
		wrong("candidates[1].past_connect_durations[2]", "-1ns", "1µs to 5m0s"),
		wrong("candidates[2].endpoint"),
		wrong("candidates[3].past_connect_durations[7]", "0s", "1µs to 5m0s"),
	)
}

// The bounds are allowed in all RPCs. A probe has no use for what it is told, and says so.
func TestGoodKnowledge(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	specs := []*connracev1.CandidateSpec{
		distant(denied, time.Microsecond),
		distant(denied, time.Minute),
		visited(denied),
		visited(denied, slices.Repeat([]time.Duration{time.Microsecond, 5 * time.Minute}, 50)...),
		{Endpoint: denied, ExpectedRtt: milliseconds(20), PastConnectDurations: []*durationpb.Duration{milliseconds(30)}},
	}
	ctx := patient(t)
	_, err := d.rpc.Race(ctx, &connracev1.RaceRequest{Candidates: specs})
	must(t, err)
	_, err = d.rpc.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{Candidates: specs})
	must(t, err)
	reply, err := d.rpc.Probe(ctx, &connracev1.ProbeRequest{Candidates: specs})
	must(t, err)
	var warned []string
	for _, w := range reply.GetRun().GetWarnings() {
		warned = append(warned, w.GetField())
	}
	if want := []string{"candidates[0].expected_rtt", "candidates[3].past_connect_durations"}; !slices.Equal(warned, want) {
		t.Errorf("a probe warns of %v, want %v", warned, want)
	}
}

// pace is what a schedule says of a start: after the one before, and until the
// next one.
type pace struct {
	endpoint string
	after    time.Duration
	delay    time.Duration
	basis    connracev1.DelayBasis
}

func paces(starts []*connracev1.ScheduledStart) []pace {
	var ps []pace
	var before time.Duration
	for i, s := range starts {
		at := s.GetStartOffset().AsDuration()
		if i == 0 {
			before = at
		}
		ps = append(ps, pace{s.GetEndpoint(), at - before, s.GetAttemptDelay().AsDuration(), s.GetDelayBasis()})
		before = at
	}
	return ps
}

// What is known of a candidate comes out as the delay of its attempt, with where
// that comes from, and the next start is so much later. Covers H2-29, H3-40.
func TestScheduledDelays(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	const (
		ms      = time.Millisecond
		rto     = connracev1.DelayBasis_DELAY_BASIS_RETRANSMISSION_TIMEOUT
		share   = connracev1.DelayBasis_DELAY_BASIS_QUANTILE
		nothing = connracev1.DelayBasis_DELAY_BASIS_NOTHING_KNOWN
		asked   = connracev1.DelayBasis_DELAY_BASIS_CONFIGURED
		a, b, c = "127.0.0.1:80", "127.0.0.2:80", "127.0.0.3:80"
	)
	for name, tc := range map[string]struct {
		candidates []*connracev1.CandidateSpec
		options    *connracev1.RaceOptions
		want       []pace
	}{
		"round trips": {
			candidates: []*connracev1.CandidateSpec{distant(a, 20*ms), distant(b, 50*ms), distant(c, time.Minute)},
			options:    &connracev1.RaceOptions{Strategy: adaptive},
			want:       []pace{{a, 0, 60 * ms, rto}, {b, 60 * ms, 150 * ms, rto}, {c, 150 * ms, 2 * time.Second, rto}},
		},
		"never below the minimum": {
			candidates: []*connracev1.CandidateSpec{distant(a, time.Microsecond), distant(b, time.Microsecond)},
			options:    &connracev1.RaceOptions{Strategy: adaptive},
			want:       []pace{{a, 0, 10 * ms, rto}, {b, 10 * ms, 10 * ms, rto}},
		},
		"not by the others": {
			candidates: []*connracev1.CandidateSpec{distant(a, 20*ms), distant(b, 50*ms)},
			options:    &connracev1.RaceOptions{Strategy: staggered},
			want:       []pace{{a, 0, 250 * ms, asked}, {b, 250 * ms, 250 * ms, asked}},
		},
		"past connects": { // 80, then an eighth of 40 more; 40, then 3/4 of it and a quarter of 40
			candidates: []*connracev1.CandidateSpec{visited(a, 80*ms), visited(b, 80*ms, 120*ms)},
			options:    &connracev1.RaceOptions{Strategy: adaptive},
			want:       []pace{{a, 0, 240 * ms, rto}, {b, 240 * ms, 245 * ms, rto}},
		},
		"a quantile": { // where there are past connects; they need not be sorted
			candidates: []*connracev1.CandidateSpec{visited(a, 40*ms, 10*ms, 30*ms, 20*ms), distant(b, 20*ms), visited(c, 70*ms)},
			options:    &connracev1.RaceOptions{Strategy: adaptive, AdaptiveQuantile: 0.75},
			want:       []pace{{a, 0, 30 * ms, share}, {b, 30 * ms, 60 * ms, rto}, {c, 60 * ms, 70 * ms, share}},
		},
		"a round trip before past connects": {
			candidates: []*connracev1.CandidateSpec{{
				Endpoint: a, ExpectedRtt: milliseconds(20), PastConnectDurations: []*durationpb.Duration{milliseconds(500)},
			}},
			options: &connracev1.RaceOptions{Strategy: adaptive},
			want:    []pace{{a, 0, 60 * ms, rto}},
		},
		"nothing known": {
			candidates: append(candidates(a), distant(b, 20*ms)),
			options:    &connracev1.RaceOptions{Strategy: adaptive, AttemptDelay: milliseconds(180)},
			want:       []pace{{a, 0, 180 * ms, nothing}, {b, 180 * ms, 60 * ms, rto}},
		},
		"a multiplier": {
			candidates: candidates(a, b, c),
			options:    &connracev1.RaceOptions{AttemptDelay: milliseconds(100), AttemptDelayMultiplier: 3},
			want:       []pace{{a, 0, 100 * ms, asked}, {b, 100 * ms, 300 * ms, asked}, {c, 300 * ms, 900 * ms, asked}},
		},
		"a family of one": {
			candidates: candidates(a, b),
			options:    &connracev1.RaceOptions{Strategy: familyFallback, AttemptTimeout: durationpb.New(time.Second)},
			want:       []pace{{a, 0, 300 * ms, asked}, {b, time.Second, 0, 0}},
		},
		"all at once": {
			candidates: candidates(a, b),
			options:    &connracev1.RaceOptions{Strategy: allAtOnce},
			want:       []pace{{a, 0, 0, 0}, {b, 0, 0, 0}},
		},
	} {
		tc.options.MaxBackupAttempts = proto.Int32(0)
		reply, err := d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{Candidates: tc.candidates, Options: tc.options})
		must(t, err)
		if got := paces(reply.GetSchedule()); !slices.Equal(got, tc.want) {
			t.Errorf("%s: the schedule is %v, want %v", name, got, tc.want)
		}
		for _, s := range reply.GetSchedule() {
			if (s.GetAttemptDelay() == nil) != (s.GetDelayBasis() == 0) {
				t.Errorf("%s: %v has one of delay and basis alone", name, s)
			}
		}
	}
}

// What is known of a name is known of each of its addresses.
func TestKnowledgeOfAName(t *testing.T) {
	t.Parallel()
	d := serve(t, named(names(t, map[string]netlab.Answers{"both.example.": addresses(two, one)})))
	reply, err := d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{
		Candidates: []*connracev1.CandidateSpec{distant("both.example.:80", 20*time.Millisecond)},
		Options:    &connracev1.RaceOptions{Strategy: adaptive},
	})
	must(t, err)
	for _, s := range reply.GetSchedule() {
		if got := s.GetAttemptDelay().AsDuration(); got != 60*time.Millisecond {
			t.Errorf("the delay of %s is %v, want 60ms", s.GetEndpoint(), got)
		}
	}
	if got := len(reply.GetSchedule()); got != 4 { // a backup for each
		t.Errorf("%d starts are scheduled, want 4", got)
	}
}

// An adaptive race that had nothing to go by says so, and how often.
func TestAdaptiveWarns(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	bad, good := host(t, netlab.Refuse).Addr().String(), host(t, netlab.Accept).Addr().String()
	// Far away, so that neither the next one nor a backup starts before it has failed.
	known := func(endpoint string) *connracev1.CandidateSpec { return distant(endpoint, time.Minute) }
	for name, c := range map[string]struct {
		candidates []*connracev1.CandidateSpec
		delay      *durationpb.Duration
		says       []string
	}{
		"nothing":            {candidates(bad, good), nil, []string{"adaptive: nothing known, 250 ms used"}},
		"nothing, 300ms":     {candidates(bad, good), milliseconds(300), []string{"adaptive: nothing known, 300 ms used"}},
		"of one":             {append(candidates(bad), known(good)), nil, []string{"nothing known for 1 of 2 attempts, 250 ms used"}},
		"of all":             {[]*connracev1.CandidateSpec{known(bad), known(good)}, nil, nil},
		"of all that matter": {append([]*connracev1.CandidateSpec{known(good)}, candidates(bad)...), nil, nil},
	} {
		options := &connracev1.RaceOptions{Strategy: adaptive, AttemptDelay: c.delay}
		reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{Candidates: c.candidates, Options: options, IncludeTranscript: true})
		must(t, err)
		if reply.GetWinner().GetEndpoint() != good {
			t.Errorf("%s: the winner is %v, want %s", name, reply.GetWinner(), good)
		}
		warns(t, reply.GetRun(), "options.strategy", c.says)
		tellsRace(t, reply)
	}
	rank, err := d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{
		Candidates: candidates(bad, good), Options: &connracev1.RaceOptions{Strategy: adaptive},
	})
	must(t, err)
	warns(t, rank.GetRun(), "options.strategy", []string{"adaptive: nothing known, 250 ms used"})
}

// The effective delay of every attempt is in the reply, and in the transcript
// where the attempt is asked for, and nowhere else.
func TestTranscriptHasTheDelays(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	bad, good := host(t, netlab.Refuse).Addr().String(), host(t, netlab.Accept).Addr().String()
	reply, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{
		Candidates: []*connracev1.CandidateSpec{
			distant(bad, 20*time.Millisecond), visited(good, 30*time.Millisecond, 10*time.Millisecond),
		},
		Options:           &connracev1.RaceOptions{Strategy: adaptive, AdaptiveQuantile: 1, MaxBackupAttempts: proto.Int32(0)},
		IncludeTranscript: true,
	})
	must(t, err)
	tellsRace(t, reply)
	var got []string
	for _, e := range reply.GetRun().GetTranscript() {
		if e.GetAttemptDelay() != nil || e.GetDelayBasis() != 0 || e.GetKind() == requested {
			got = append(got, fmt.Sprint(e.GetKind(), " ", e.GetEndpoint(), " ", e.GetAttemptDelay().AsDuration(), " ", e.GetDelayBasis()))
		}
	}
	want := []string{
		fmt.Sprint(requested, " ", bad, " 60ms DELAY_BASIS_RETRANSMISSION_TIMEOUT"),
		fmt.Sprint(requested, " ", good, " 30ms DELAY_BASIS_QUANTILE"),
	}
	if !slices.Equal(got, want) {
		t.Errorf("delays are told by %q, want %q", got, want)
	}
}

// A thousand candidates that were connected to fifty times fit into a request.
func TestMuchKnowledgeFits(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	specs := addressed(1000)
	for _, spec := range specs {
		spec.Label = strings.Repeat("l", 20)
		spec.PastConnectDurations = slices.Repeat([]*durationpb.Duration{durationpb.New(999_999_999)}, 50)
	}
	reply, err := d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{
		Candidates: specs, Options: &connracev1.RaceOptions{Strategy: adaptive, AdaptiveQuantile: 0.5},
	})
	must(t, err)
	if got := reply.GetSchedule()[0].GetAttemptDelay().AsDuration(); got != 999_999_999 {
		t.Errorf("the first delay is %v, want what is known", got)
	}
}

// However much is wrong with what is known, the client learns of it.
func TestLargeRefusalOfKnowledgeArrives(t *testing.T) {
	t.Parallel()
	specs := addressed(1000)
	for _, spec := range specs {
		spec.PastConnectDurations = slices.Repeat([]*durationpb.Duration{{}}, 100)
	}
	st := arrives(t, plain(), func(ctx context.Context, rpc connracev1.RacerServiceClient) error {
		_, err := rpc.Race(ctx, &connracev1.RaceRequest{Candidates: specs})
		return err
	})
	refusesMuch(t, st, "candidates[0].past_connect_durations[0]", 100_000)
}
