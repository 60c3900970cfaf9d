package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// longest are 1,000 candidates as long as they may be: 64 names, and addresses
// with zones.
func longest() []*connracev1.CandidateSpec {
	specs := make([]*connracev1.CandidateSpec, 1000)
	for i := range specs {
		number := fmt.Sprintf("%04d", i)
		name := strings.Join(slices.Repeat([]string{strings.Repeat("a", 61) + "."}, 4), "") // 248 characters
		endpoint := number + "." + name + ":65535"
		if i >= 64 {
			start, end := "[fe80::1%"+number, "]:65535"
			endpoint = start + strings.Repeat("z", 262-len(start)-len(end)) + end
		}
		specs[i] = &connracev1.CandidateSpec{Endpoint: endpoint, Label: strings.Repeat("l", 100)}
	}
	return specs
}

func TestLongestRequestFits(t *testing.T) {
	t.Parallel()
	d := serve(t, named(names(t, nil)))
	reply, err := d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{Candidates: longest()})
	must(t, err)
	if got := len(reply.GetCandidates()); got != 1000-64 { // the names have no address
		t.Errorf("%d candidates, want %d", got, 1000-64)
	}
	if got := len(reply.GetRun().GetResolution().GetQueries()); got != 2*64 {
		t.Errorf("%d queries, want %d", got, 2*64)
	}
}

// What is beyond the limits is refused by the transport, and hurts nobody else.
func TestOversizedRequest(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	_, err := d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{Target: strings.Repeat("a", 1<<20)})
	if got := status.Code(err); got != codes.ResourceExhausted {
		t.Errorf("a request of 1 MiB: %v, want RESOURCE_EXHAUSTED", err)
	}
	livesOn(t, d)
	_, err = d.rpc.ResolveAndRank(patient(t), &connracev1.ResolveAndRankRequest{Target: "127.0.0.1:80"})
	must(t, err)
}

func TestOversizedMetadata(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	livesOn(t, d) // the limits of the server have arrived
	ctx := metadata.AppendToOutgoingContext(patient(t), "much", strings.Repeat("a", 32<<10))
	_, err := d.rpc.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{Target: "127.0.0.1:80"})
	if err == nil {
		t.Error("metadata of 32 KiB is taken")
	}
	livesOn(t, d)
}
