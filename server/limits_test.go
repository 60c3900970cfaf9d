package server_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

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

// bytesCodec sends bytes as they are, in place of a message.
type bytesCodec struct{}

func (bytesCodec) Marshal(v any) ([]byte, error) { return v.([]byte), nil }
func (bytesCodec) Unmarshal([]byte, any) error   { return nil }
func (bytesCodec) Name() string                  { return "proto" }

// What gRPC itself refuses has these codes and no ErrorInfo, as docs/reference.md says,
// which is how a caller tells it from what the daemon says; and it is no line in the log.
func TestStatusesOfTheTransport(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	const race = "/connrace.v1.RacerService/Race"
	for name, c := range map[string]struct {
		method string
		body   []byte
		want   codes.Code
	}{
		"text that is not UTF-8": {race, []byte{0x0a, 2, 0xff, 0xfe}, codes.Internal},
		"no message":             {race, []byte{0xff, 0xff}, codes.Internal},
		"as large as allowed":    {race, unknownField(512 << 10), codes.InvalidArgument}, // the daemon's own: it has no target
		"too large":              {race, unknownField(512<<10 + 1), codes.ResourceExhausted},
		"an unknown method":      {race + "r", nil, codes.Unimplemented},
		"an unknown service":     {"/connrace.v1.Racer/Race", nil, codes.Unimplemented},
	} {
		err := d.conn.Invoke(patient(t), c.method, c.body, nil, grpc.ForceCodec(bytesCodec{}))
		if details := len(status.Convert(err).Details()); status.Code(err) != c.want || (details > 0) != (c.want == codes.InvalidArgument) {
			t.Errorf("%s: %v with %d details, want %s", name, err, details, c.want)
		}
	}
	if lines := d.log.lines(t, "finished call"); len(lines) != 1 {
		t.Errorf("the log has %v, want the one call that the daemon has seen", lines)
	}
}

// unknownField is a message of n bytes that is one field which the contract lacks.
func unknownField(n int) []byte {
	const number, tag, length = 1000, 2, 3 // bytes of the latter two at these sizes
	m := protowire.AppendTag(make([]byte, 0, n), number, protowire.BytesType)
	return protowire.AppendBytes(m, make([]byte, n-tag-length))
}

// A client that heeds the limit does not send it, in the words that docs/reference.md has.
func TestOversizedMetadata(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	livesOn(t, d) // the limits of the server have arrived
	ctx := metadata.AppendToOutgoingContext(patient(t), "much", strings.Repeat("a", 32<<10))
	_, err := d.rpc.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{Target: "127.0.0.1:80"})
	const says = "header list size to send violates the maximum size"
	if s := status.Convert(err); s.Code() != codes.Internal || !strings.Contains(s.Message(), says) || len(s.Details()) > 0 {
		t.Errorf("metadata of 32 KiB: %v with %v, want INTERNAL, %q and no details", err, s.Details(), says)
	}
	livesOn(t, d)
	page, err := os.ReadFile("../docs/reference.md")
	must(t, err)
	if !strings.Contains(string(page), says) {
		t.Errorf("docs/reference.md does not say %q", says)
	}
}
