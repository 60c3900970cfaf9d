package netlab_test

import (
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connrace/connrace/internal/netlab"
)

// In whatever state connections are, Close ends them, at once.
// Not parallel, so that nobody else starts a goroutine.
func TestDNSCloseEndsStreams(t *testing.T) {
	before := runtime.NumGoroutine()
	closeWithStreams(t)
	eventually(t, "no goroutine left", func() bool { return runtime.NumGoroutine() <= before })
}

// A connection that breaks takes what waits for it along, while the server lives.
// Not parallel, so that nobody else starts a goroutine.
func TestDNSBrokenStreamsFreeTheirs(t *testing.T) {
	d := startDNS(t, any0(t, v4))
	for name, delay := range map[string]time.Duration{"now": 0, "soon": 100 * time.Millisecond, "late": time.Hour} {
		d.Set(name, netlab.Answers{A: netlab.Answer{Delay: delay}})
	}
	query := func(name string) []byte { return framed(t, message(name, dnsmessage.TypeA)) }
	before := runtime.NumGoroutine()

	// It is reset while an answer waits.
	reset := dialStream(t, d)
	reset.write(query("late."))
	eventually(t, "asked", func() bool { return len(d.Log()) == 1 })
	must(t, reset.c.(*net.TCPConn).SetLinger(0))
	must(t, reset.c.Close())

	// It is closed, which could be half-closed, until the second answer finds that
	// the first one was refused.
	gone := dialStream(t, d)
	gone.write(slices.Concat(query("now."), query("soon."), query("late.")))
	must(t, gone.c.Close())

	// It is reset while an answer is stuck and the next one waits for it.
	stuck := dialStuck(t, d)
	must(t, stuck.c.Close())

	eventually(t, "no goroutine of theirs left", func() bool { return runtime.NumGoroutine() <= before })
}

// closeWithStreams is a server's life that ends amid connections of all kinds.
func closeWithStreams(t *testing.T) {
	t.Helper()
	d, err := netlab.StartDNS(fixedPort(t))
	must(t, err)
	d.Set("late.example", netlab.Answers{A: netlab.Answer{Addrs: addrs("192.0.2.1"), Delay: time.Hour}})
	late := framed(t, message("late.example.", dnsmessage.TypeA))
	const each = 3
	var all []*stream
	for range each {
		waits, halfClosed, halfSent := dialStream(t, d), dialStream(t, d), dialStream(t, d)
		waits.write(slices.Repeat(late, 5))
		halfClosed.write(late)
		must(t, halfClosed.c.(interface{ CloseWrite() error }).CloseWrite())
		halfSent.write(append(slices.Clone(late), 0, 100, 1, 2))
		idle := dialStream(t, d)
		gone := dialStream(t, d)
		gone.write(late)
		must(t, gone.c.Close())
		all = append(all, waits, halfClosed, halfSent, idle, dialStuck(t, d))
	}
	eventually(t, "all but the stuck have asked", func() bool {
		n := 0
		for _, q := range d.Log() {
			if q.Name == "late.example." {
				n++
			}
		}
		return n == each*8
	})
	began := time.Now()
	must(t, d.Close())
	must(t, d.Close())
	if took := time.Since(began); took > patience {
		t.Errorf("Close took %v", took)
	}
	for i, s := range all {
		if _, err := io.Copy(io.Discard, s.c); err == nil {
			t.Errorf("connection %d ended well, want a reset", i)
		}
		must(t, s.c.Close())
	}
	if _, err := dial(t, d.Addr(), patience); err == nil {
		t.Error("the closed server still takes connections")
	}
	again, err := netlab.StartDNS(d.Addr()) // nothing of the first holds the port
	must(t, err)
	must(t, again.Close())
}
