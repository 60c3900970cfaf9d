package server_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/server"
)

// Those who ask for an error get the reply they would have had, as its detail.

func TestFailUnlessWon(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	req := &connracev1.RaceRequest{
		Candidates:        candidates(host(t, netlab.Refuse).Addr().String(), host(t, netlab.Refuse).Addr().String()),
		Options:           sequential,
		IncludeTranscript: true,
	}
	reply, err := d.rpc.Race(patient(t), req)
	must(t, err)
	if got := reply.GetRun().GetEndReason(); got != connracev1.EndReason_END_REASON_EXHAUSTED || reply.GetWinner() != nil {
		t.Errorf("the end is %v, the winner %v", got, reply.GetWinner())
	}
	req.FailUnlessWon = true
	_, err = d.rpc.Race(patient(t), req)
	same(t, lost[*connracev1.RaceResponse](t, err, "NOT_WON"), reply)
}

func TestFailUnlessRanked(t *testing.T) {
	t.Parallel()
	dns := names(t, nil)
	d := serve(t, named(dns))
	for _, target := range []string{"none.example.:80", denied} {
		req := &connracev1.ResolveAndRankRequest{
			Target:            target,
			Selection:         &connracev1.SelectionOptions{OnlyFamily: connracev1.AddressFamily_ADDRESS_FAMILY_IPV4}, // one question: one order
			IncludeTranscript: true,
		}
		reply, err := d.rpc.ResolveAndRank(patient(t), req)
		must(t, err)
		req.FailUnlessRanked = true
		_, err = d.rpc.ResolveAndRank(patient(t), req)
		same(t, lost[*connracev1.ResolveAndRankResponse](t, err, "NOT_RANKED"), reply)
	}
}

func TestFailUnlessReachable(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	req := &connracev1.ProbeRequest{
		Target: host(t, netlab.Refuse).Addr().String(), Rounds: 2, Interval: often(), IncludeTranscript: true,
	}
	reply, err := d.rpc.Probe(patient(t), req)
	must(t, err)
	req.FailUnlessReachable = true
	_, err = d.rpc.Probe(patient(t), req)
	same(t, lost[*connracev1.ProbeResponse](t, err, "NOT_REACHABLE"), reply)
}

// The round that reached nothing is the detail and no message.
func TestWatchFailsUnlessReachable(t *testing.T) {
	t.Parallel()
	d, bad := serve(t, plain()), host(t, netlab.Refuse).Addr().String()
	req := &connracev1.WatchProbeRequest{Target: bad, IncludeTranscript: true}
	reply := receive(t, watch(t, d, req))
	req.FailUnlessReachable = true
	_, err := watch(t, d, req).Recv()
	same(t, lost[*connracev1.WatchProbeResponse](t, err, "NOT_REACHABLE"), reply)
}

// The watch goes on for as long as something is reachable.
func TestWatchFailsWhenNothingIsReachableAnyMore(t *testing.T) {
	t.Parallel()
	d, h := serve(t, plain()), host(t, netlab.Accept)
	stream := watch(t, d, &connracev1.WatchProbeRequest{
		Candidates: candidates(h.Addr().String(), host(t, netlab.Refuse).Addr().String()), Interval: often(), FailUnlessReachable: true,
	})
	for round := int64(1); round <= 2; round++ {
		if got := receive(t, stream).GetRound(); got != round {
			t.Errorf("round %d, want %d", got, round)
		}
	}
	must(t, h.Close())
	var err error
	eventually(t, "the stream ends", func() bool {
		_, err = stream.Recv()
		return err != nil
	})
	reply := lost[*connracev1.WatchProbeResponse](t, err, "NOT_REACHABLE")
	if got := reply.GetReport().GetVerdict(); reply.GetRound() < 3 || got != connracev1.Verdict_VERDICT_UNREACHABLE {
		t.Errorf("round %d ends it with %v, want a later one, UNREACHABLE", reply.GetRound(), got)
	}
}

// The switches do nothing when all is well.
func TestFailUnlessOnSuccess(t *testing.T) {
	t.Parallel()
	d, good := serve(t, plain()), host(t, netlab.Accept).Addr().String()
	bad := host(t, netlab.Refuse).Addr().String()
	ctx := patient(t)
	_, err := d.rpc.Race(ctx, &connracev1.RaceRequest{Target: good, FailUnlessWon: true})
	must(t, err)
	_, err = d.rpc.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{
		Candidates: candidates(denied, bad), FailUnlessRanked: true,
	})
	must(t, err)
	_, err = d.rpc.Probe(ctx, &connracev1.ProbeRequest{Candidates: candidates(good, bad), FailUnlessReachable: true})
	must(t, err)
}

// lost checks the error of a caller who asked for one, and returns the reply
// that rides along whole.
func lost[M proto.Message](t *testing.T, err error, reason string) M {
	t.Helper()
	st, info := refusedBecause(t, err, codes.FailedPrecondition, reason)
	if got := info.GetMetadata()["reply"]; got != "whole" {
		t.Errorf("the reply is %q, want it whole", got)
	}
	return detail[M](t, st)
}

// Clients written in C++ and Java refuse more header bytes than this.
const clientHeaderBytes = 8 << 10

// A client that takes no more than 8 KiB of headers still gets the status with
// all its details: what is too large is cut, and says so.
func TestLargeReplyIsCut(t *testing.T) {
	t.Parallel()
	bad := host(t, netlab.Refuse).Addr()
	many := addressed(1000) // nobody has the port of bad anywhere on loopback
	for _, c := range many {
		c.Endpoint = fmt.Sprintf("%s:%d", c.GetEndpoint()[:len(c.GetEndpoint())-len(":80")], bad.Port())
	}
	atOnce := &connracev1.RaceOptions{Strategy: connracev1.Strategy_STRATEGY_ALL_AT_ONCE}
	for name, call := range map[string]func(context.Context, connracev1.RacerServiceClient) error{
		"NOT_WON": func(ctx context.Context, rpc connracev1.RacerServiceClient) error {
			_, err := rpc.Race(ctx, &connracev1.RaceRequest{
				Candidates: many, Options: atOnce, IncludeTranscript: true, FailUnlessWon: true,
			})
			return err
		},
		"NOT_REACHABLE": func(ctx context.Context, rpc connracev1.RacerServiceClient) error {
			_, err := rpc.Probe(ctx, &connracev1.ProbeRequest{
				Candidates: many, IncludeTranscript: true, FailUnlessReachable: true,
			})
			return err
		},
		"NOT_RANKED": func(ctx context.Context, rpc connracev1.RacerServiceClient) error {
			_, err := rpc.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{
				Candidates: many, IncludeTranscript: true, FailUnlessRanked: true,
				Selection: &connracev1.SelectionOptions{OnlyFamily: connracev1.AddressFamily_ADDRESS_FAMILY_IPV6},
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := arrives(t, plain(), call)
			_, info := refusedBecause(t, st.Err(), codes.FailedPrecondition, name)
			isCut(t, st, info)
		})
	}
}

// isCut wants a reply that lacks something, says so, and keeps what it can of
// the candidates.
func isCut(t *testing.T, st *status.Status, info *errdetails.ErrorInfo) {
	t.Helper()
	var run *connracev1.Run
	var left int
	var reply proto.Message
	for _, d := range st.Details() {
		switch m := d.(type) {
		case *connracev1.RaceResponse:
			run, left, reply = m.GetRun(), len(m.GetCandidates()), m
		case *connracev1.ProbeResponse:
			run, left, reply = m.GetRun(), len(m.GetReport().GetCandidates()), m
		case *connracev1.ResolveAndRankResponse:
			run, left, reply = m.GetRun(), len(m.GetCandidates()), m
		}
	}
	if reply == nil {
		t.Fatalf("no reply in %v", st.Proto())
	}
	bytes, err := strconv.Atoi(info.GetMetadata()["reply_bytes"])
	if info.GetMetadata()["reply"] != "cut" || err != nil || bytes <= proto.Size(reply) {
		t.Errorf("the ErrorInfo is %v of a reply of %d bytes, want it cut from more", info, proto.Size(reply))
	}
	if run.GetTranscript() != nil || run.GetDuration() == nil || left == 0 || left >= 1000 {
		t.Errorf("%d candidates are left, want some, and no transcript: %v", left, run)
	}
}

// arrives makes a call over TCP that must fail, with a client that takes 8 KiB
// of headers, and returns the status that came.
func arrives(t *testing.T, cfg server.Config, call func(context.Context, connracev1.RacerServiceClient) error) *status.Status {
	t.Helper()
	var wire trailers
	d, _ := serveTCP(t, cfg, grpc.WithMaxHeaderListSize(clientHeaderBytes), grpc.WithStatsHandler(&wire))
	st, ok := status.FromError(call(patient(t), d.rpc))
	if !ok || len(st.Details()) == 0 {
		t.Fatalf("what arrives is %v, want a status with details", st)
	}
	if n := wire.bytes.Load(); n == 0 || n > clientHeaderBytes {
		t.Errorf("the trailers take %d bytes, want them below %d", n, clientHeaderBytes)
	}
	return st
}

// trailers is a stats.Handler that counts the bytes of trailers on the wire.
type trailers struct{ bytes atomic.Int64 }

func (*trailers) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*trailers) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*trailers) HandleConn(context.Context, stats.ConnStats)                       {}

func (w *trailers) HandleRPC(_ context.Context, s stats.RPCStats) {
	if in, ok := s.(*stats.InTrailer); ok {
		w.bytes.Add(int64(in.WireLength))
	}
}

// However much is wrong with a request, and in whatever script, the client
// learns of it.
func TestLargeRefusalArrives(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string][]string{
		"much":         make([]string, 1000),
		"long":         slices.Repeat([]string{strings.Repeat("a", 262)}, 20),
		"too long":     slices.Repeat([]string{strings.Repeat("a", 300)}, 20),
		"long port":    slices.Repeat([]string{"a:" + strings.Repeat("1", 260)}, 20),
		"colons":       slices.Repeat([]string{strings.Repeat(":", 262)}, 20),
		"percent":      slices.Repeat([]string{strings.Repeat("%", 262)}, 20),
		"quotes":       slices.Repeat([]string{strings.Repeat(`"`, 262)}, 20),
		"control":      slices.Repeat([]string{strings.Repeat("\x01", 262)}, 20),
		"other script": slices.Repeat([]string{strings.Repeat("é", 131)}, 20),
		"pictures":     slices.Repeat([]string{strings.Repeat("🏁", 65)}, 20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := arrives(t, plain(), func(ctx context.Context, rpc connracev1.RacerServiceClient) error {
				_, err := rpc.Race(ctx, &connracev1.RaceRequest{Candidates: candidates(bad...)})
				return err
			})
			refusesMuch(t, st, "candidates[0].endpoint", len(bad))
		})
	}
}

// refusesMuch wants a refusal of so many fields, of which it shows the first ones.
func refusesMuch(t *testing.T, st *status.Status, first string, count int) {
	t.Helper()
	_, info := refusedBecause(t, st.Err(), codes.InvalidArgument, "INVALID_REQUEST")
	if n := info.GetMetadata()["violation_count"]; n != strconv.Itoa(count) {
		t.Errorf("the ErrorInfo counts %s violations, want %d", n, count)
	}
	got := detail[*errdetails.BadRequest](t, st).GetFieldViolations()
	if len(got) == 0 || got[0].GetField() != first {
		t.Errorf("the violations are %v, want %s first", got, first)
	}
}

// A message that is cut is still text: gRPC drops the details of one that ends
// in half a character.
func TestLongMessageIsCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for _, shift := range []string{"", "a"} {
		endpoint := shift + strings.Repeat("é", 130)
		bad := candidates(slices.Repeat([]string{endpoint}, 5)...)
		_, err := d.rpc.Race(patient(t), &connracev1.RaceRequest{Candidates: bad})
		st, _ := status.FromError(err)
		if len(st.Details()) == 0 || !utf8.ValidString(st.Message()) {
			t.Errorf("the status has the details %v and the message %q", st.Details(), st.Message())
		}
	}
}
