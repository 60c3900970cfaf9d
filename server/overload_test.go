package server_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/server"
)

// limited is the configuration of a daemon with limits.
func limited(l racer.Limits) server.Config {
	cfg := plain()
	cfg.Racer = racer.New(racer.Config{Limits: l})
	return cfg
}

// An attempt that has to wait says how long and for what, and starts when there is
// room; the daemon refuses further calls while all places in line are taken, says when
// to come back, and takes them in again then.
func TestOverload(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]racer.Limits{
		"in_flight":             {InFlight: 1, Waiting: 1},
		"caller_in_flight":      {CallerInFlight: 1, Waiting: 1},
		"destination_in_flight": {DestinationInFlight: 1, Waiting: 1},
		"prefix_in_flight":      {PrefixInFlight: 1, Waiting: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			overload(t, name, limits)
		})
	}
}

func overload(t *testing.T, budget string, limits racer.Limits) {
	d, g := serve(t, limited(limits)), newGate(t)
	ctx := patient(t)
	leaving, leave := context.WithCancel(ctx)
	first := race(leaving, d, g.asked(false))
	eventually(t, "the first attempt is up", func() bool { return g.came.Load() == 1 })
	asked := g.asked(false)
	asked.IncludeTranscript = true
	second := race(ctx, d, asked)

	// The second call's attempt takes the only place in line in its own time.
	refusal := func() error {
		_, err := d.rpc.Race(ctx, &connracev1.RaceRequest{Target: denied})
		return err
	}
	eventually(t, "the daemon is overloaded", func() bool { return refusal() != nil })
	saysOverloaded(t, refusal(), budget, "this_caller")
	_, err := d.rpc.Race(ctx, &connracev1.RaceRequest{Target: denied, Share: true, CallerKey: "another"})
	saysOverloaded(t, err, budget, "other_callers")
	_, err = d.rpc.Probe(ctx, &connracev1.ProbeRequest{Target: denied})
	saysOverloaded(t, err, budget, "this_caller")
	_, err = watch(t, d, &connracev1.WatchProbeRequest{Target: denied}).Recv()
	saysOverloaded(t, err, budget, "this_caller")
	// What is wrong is said all the same, and ranking starts nothing.
	_, err = d.rpc.Race(ctx, &connracev1.RaceRequest{})
	violates(t, err, wrong("target"))
	_, err = d.rpc.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{Target: denied})
	must(t, err)

	leave()
	<-first
	eventually(t, "the second attempt is up", func() bool { return g.came.Load() == 2 })
	must(t, refusal())
	close(g.opened)
	o := <-second
	must(t, o.err)
	tellsRace(t, o.reply)
	waited(t, o.reply, budget)
}

// saysOverloaded wants when to come back, which budget is used up, and by whom.
func saysOverloaded(t *testing.T, err error, budget, whose string) {
	t.Helper()
	st, info := refusedBecause(t, err, codes.ResourceExhausted, "OVERLOADED")
	if m := info.GetMetadata(); m["budget"] != budget || m["whose"] != whose {
		t.Errorf("the ErrorInfo is %v, want the budget %s of %s", info, budget, whose)
	}
	if words := strings.ReplaceAll(whose, "_", " "); !strings.Contains(st.Message(), "too many attempts of "+words+" wait") {
		t.Errorf("it says %q", st.Message())
	}
	retry := detail[*errdetails.RetryInfo](t, st).GetRetryDelay().AsDuration()
	if retry < 100*time.Millisecond || retry > 30*time.Second {
		t.Errorf("it is to be retried in %v, want 100ms to 30s", retry)
	}
	violations := detail[*errdetails.QuotaFailure](t, st).GetViolations()
	if len(violations) != 1 || violations[0].GetSubject() != "budget:"+budget || violations[0].GetDescription() == "" {
		t.Errorf("the violations are %v, want one of budget:%s", violations, budget)
	}
}

// waited wants the reply's only attempt to have been deferred because of the budget,
// and its transcript to tell of it in order.
func waited(t *testing.T, reply *connracev1.RaceResponse, budget string) {
	t.Helper()
	a := theOnly(t, reply)
	reason := map[string]connracev1.DeferReason{
		"in_flight":             connracev1.DeferReason_DEFER_REASON_IN_FLIGHT,
		"caller_in_flight":      connracev1.DeferReason_DEFER_REASON_CALLER_IN_FLIGHT,
		"destination_in_flight": connracev1.DeferReason_DEFER_REASON_DESTINATION_IN_FLIGHT,
		"prefix_in_flight":      connracev1.DeferReason_DEFER_REASON_PREFIX_IN_FLIGHT,
	}[budget]
	w := a.GetDeferral()
	if w.GetReason() != reason || w.GetDuration().AsDuration() <= 0 || w.GetStartOffset() == nil {
		t.Errorf("the wait was %v, want one for %s", w, reason)
	}
	if w.GetStartOffset().AsDuration()+w.GetDuration().AsDuration() != a.GetStartOffset().AsDuration() {
		t.Errorf("the wait was %v, and the start at %v", w, a.GetStartOffset().AsDuration())
	}
	const (
		deferred = connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_DEFERRED
		admitted = connracev1.TranscriptEventKind_TRANSCRIPT_EVENT_KIND_ATTEMPT_ADMITTED
	)
	var kinds []connracev1.TranscriptEventKind
	for _, e := range reply.GetRun().GetTranscript() {
		if slices.Contains([]connracev1.TranscriptEventKind{requested, deferred, admitted, started}, e.GetKind()) {
			kinds = append(kinds, e.GetKind())
		}
		if (e.GetKind() == deferred) != (e.GetDeferReason() == reason) || e.GetKind() != deferred && e.GetDeferReason() != 0 {
			t.Errorf("the event is %v", e)
		}
	}
	if want := []connracev1.TranscriptEventKind{requested, deferred, admitted, started}; !slices.Equal(kinds, want) {
		t.Errorf("the transcript has %v, want %v", kinds, want)
	}
}

// Callers that leave, in flight or in line, leave their places to others.
func TestCallerThatLeavesGivesItsPlaceBack(t *testing.T) {
	t.Parallel()
	d, g := serve(t, limited(racer.Limits{InFlight: 1, Waiting: 1})), newGate(t)
	ctx := patient(t)
	leaving, leave := context.WithCancel(ctx)
	calls := []<-chan outcome{race(leaving, d, g.asked(false))}
	eventually(t, "the first attempt is up", func() bool { return g.came.Load() == 1 })
	calls = append(calls, race(leaving, d, g.asked(false)))
	free := func() bool {
		_, err := d.rpc.Race(ctx, &connracev1.RaceRequest{Target: denied})
		return err == nil
	}
	eventually(t, "the daemon is overloaded", func() bool { return !free() })
	leave()
	for _, call := range calls {
		if o := <-call; status.Code(o.err) != codes.Canceled {
			t.Errorf("who has left gets %v, %v", o.reply, o.err)
		}
	}
	eventually(t, "there is room again", free)
	good := host(t, netlab.Accept).Addr().String()
	// A caller hears of its end before the daemon has closed what it had.
	eventually(t, "nobody has to wait any more", func() bool {
		reply, err := d.rpc.Race(ctx, &connracev1.RaceRequest{Target: good, Options: &connracev1.RaceOptions{MaxBackupAttempts: proto.Int32(0)}})
		must(t, err)
		if reply.GetWinner() == nil {
			t.Fatalf("in an empty room the reply is %v", reply)
		}
		return theOnly(t, reply).GetDeferral() == nil
	})
}
