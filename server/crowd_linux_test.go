package server_test

import (
	"bufio"
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// crowd is how many attempts are pending at once: as many calls as it takes, each with
// as many candidates as one may have.
const crowd, crowdOfOne = 12_000, 1000

// Health checks are answered, and an ordinary race is won, while twelve thousand
// attempts wait for nobody; when their callers leave, nothing is left of them.
func TestHealthInACrowd(t *testing.T) {
	needDescriptors(t, crowd+2000)
	lab := netlabtest.Start(t, netlab.Config{})
	hole, good := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddrPort("198.51.100.2:80")
	must(t, lab.SetPath(hole, link.Path{State: link.Blackhole}))
	must(t, lab.SetPath(good.Addr(), link.Path{}))
	h, err := lab.Serve(good, netlab.Read())
	must(t, err)
	defer func() { must(t, h.Close()) }()
	d, _ := serveTCP(t, plain())
	_, err = d.rpc.Race(patient(t), &connracev1.RaceRequest{Target: good.String()}) // what opens once does so now
	must(t, err)
	before := inUse(t)

	ctx, leave := context.WithCancel(patient(t))
	calls := make([]<-chan outcome, crowd/crowdOfOne)
	for i := range calls {
		calls[i] = race(ctx, d, silentRace(hole))
	}
	eventually(t, "twelve thousand attempts are pending", func() bool { return pending(t) == crowd })
	for _, service := range services {
		reply, err := healthpb.NewHealthClient(d.conn).Check(ctx, &healthpb.HealthCheckRequest{Service: service})
		must(t, err)
		if reply.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%q is %v in a crowd, want it SERVING", service, reply.GetStatus())
		}
	}
	reply, err := d.rpc.Race(ctx, &connracev1.RaceRequest{Target: good.String()})
	must(t, err)
	if reply.GetWinner().GetEndpoint() != good.String() {
		t.Errorf("in a crowd the winner is %v", reply)
	}
	if n := pending(t); n != crowd {
		t.Errorf("%d attempts are pending still, want %d", n, crowd)
	}
	leave()
	for _, call := range calls {
		if o := <-call; status.Code(o.err) != codes.Canceled {
			t.Errorf("a call ended with %v", o.err)
		}
	}
	kept := len(calls) * (128 + 4) // each may leave idle sockets and its poller for later ones
	eventually(t, "nothing is left of them", func() bool {
		now := inUse(t)
		return pending(t) == 0 && now.goroutines <= before.goroutines && now.descriptors <= before.descriptors+kept
	})
}

// silentRace tries every port of an address that swallows SYNs, for as long as its
// caller stays.
func silentRace(hole netip.Addr) *connracev1.RaceRequest {
	specs := make([]*connracev1.CandidateSpec, crowdOfOne)
	for i := range specs {
		specs[i] = &connracev1.CandidateSpec{Endpoint: netip.AddrPortFrom(hole, uint16(i+1)).String()}
	}
	return &connracev1.RaceRequest{Candidates: specs, Options: &connracev1.RaceOptions{
		Strategy: allAtOnce, MaxInFlight: crowdOfOne, MaxBackupAttempts: proto.Int32(0),
		AttemptTimeout: durationpb.New(5 * time.Minute), Timeout: durationpb.New(5 * time.Minute),
	}}
}

// pending counts the sockets of this namespace that have sent a SYN and heard nothing.
func pending(t *testing.T) int {
	t.Helper()
	file, err := os.Open("/proc/net/tcp")
	must(t, err)
	defer file.Close()
	const synSent = " 02 "
	n := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if strings.Contains(lines.Text(), synSent) {
			n++
		}
	}
	return n
}

// needDescriptors raises the limit, or skips the test where nobody may.
func needDescriptors(t *testing.T, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	if limit.Cur < n {
		err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: max(n, limit.Max)})
		if errors.Is(err, unix.EPERM) {
			t.Skipf("SKIPPED: it takes %d descriptors, and there may be %d; raise the hard limit (ulimit -Hn)", n, limit.Max)
		}
		must(t, err)
		t.Cleanup(func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) })
	}
}
