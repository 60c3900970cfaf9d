package racer

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/racer/sched"
)

// One lost SYN costs about 250 ms instead of about 1,006 ms: a backup attempt at the
// same address is on its way long before the kernel sends another SYN.
func TestLostSYNInTheLab(t *testing.T) {
	t.Run("with a backup", func(t *testing.T) { netlabtest.Punctually(t, lostSYNWithBackup) })
	t.Run("without", func(t *testing.T) { netlabtest.Punctually(t, lostSYNWithoutBackup) })
}

func lostSYNWithBackup(t *testing.T, watch *netlabtest.Watch) {
	r, h, as := oneLostSYN(t, watch, Options{}, sched.SecondSYN)
	if !as {
		return
	}
	watch.Near("the second SYN after the first", h.second, sched.DefaultAttemptDelay)
	watch.Near("the connection after the first SYN", h.established, sched.DefaultAttemptDelay+10*ms)
	watch.Near("the win after the start", r.Winner.Won().End-r.Winner.Attempts[0].Start, sched.DefaultAttemptDelay+10*ms)
	if !h.anotherPort || len(r.Winner.Attempts) != 2 || r.Winner.Won() != &r.Winner.Attempts[1] || r.Cost.Backups != 1 {
		t.Errorf("the second SYN is of a socket of its own: %t; attempts are %+v, cost is %+v", h.anotherPort, r.Winner.Attempts, r.Cost)
	}
}

func lostSYNWithoutBackup(t *testing.T, watch *netlabtest.Watch) {
	r, h, as := oneLostSYN(t, watch, Options{MaxBackups: new(0)}, 2*sched.SecondSYN)
	if !as {
		return
	}
	// The kernel counts from a moment of its own, in ticks of 4 ms at most.
	watch.Between("the second SYN after the first", h.second, sched.SecondSYN-4*ms, sched.SecondSYN+4*netlabtest.Slack)
	watch.Between("the connection after the first SYN", h.established, sched.SecondSYN+6*ms, sched.SecondSYN+10*ms+4*netlabtest.Slack)
	if h.anotherPort || len(r.Winner.Attempts) != 1 || r.Cost.Backups != 0 {
		t.Errorf("the second SYN is of a socket of its own: %t; attempts are %+v, cost is %+v", h.anotherPort, r.Winner.Attempts, r.Cost)
	}
}

// rescued is what the wire saw of a connection whose first SYN was lost. Times count
// from that SYN.
type rescued struct {
	second      time.Duration
	anotherPort bool // sent the second one
	established time.Duration
}

// oneLostSYN races for an address 10 ms away, of which the first SYN is lost. A race
// that is not over before a kernel sends a SYN too many tells nothing, and as is false.
func oneLostSYN(t *testing.T, watch *netlabtest.Watch, o Options, tooMany time.Duration) (r *RaceResult, h rescued, as bool) {
	t.Helper()
	w := newWorld(t)
	w.host(t, here4, link.Path{Delay: 5 * ms, LoseSYN: []int{1}})
	r = w.race(t, RaceRequest{Target: Target{Name: netip.AddrPortFrom(here4, 80).String()}, Options: o})
	if r.End != sched.EndWon {
		t.Fatalf("%s", r.End)
	}
	if r.Duration >= tooMany {
		watch.Doubt(fmt.Sprintf("the race took %v", r.Duration))
		return nil, h, false
	}
	packets, err := w.Packets()
	must(t, err)
	var syns, established []link.Packet
	for _, p := range packets {
		switch p.Kind {
		case link.SYN:
			syns = append(syns, p)
		case link.Established:
			established = append(established, p)
		}
	}
	if len(syns) != 2 || len(established) != 1 || syns[0].Fate != link.LostSYN || syns[1].Fate != link.Delivered {
		t.Fatalf("the wire saw the SYNs %+v and the connections %+v", syns, established)
	}
	return r, rescued{
		second:      syns[1].Sent - syns[0].Sent,
		anotherPort: syns[1].From != syns[0].From,
		established: established[0].Sent - syns[0].Sent,
	}, true
}
