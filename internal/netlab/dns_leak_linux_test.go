package netlab_test

import (
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connrace/connrace/internal/netlab"
)

// Not parallel, so that nobody else opens anything.
func TestDNSCloseFreesEverything(t *testing.T) {
	for name, live := range map[string]func(t *testing.T){
		"streams": closeWithStreams,
		"queries": func(t *testing.T) {
			d := startDNS(t, any0(t, v4))
			d.Set("one.example", netlab.Answers{A: netlab.Answer{Addrs: addrs("192.0.2.1"), Truncate: true}})
			wantAddrs(t, d, "ip4", "one.example.", addrs("192.0.2.1"))
			dialStream(t, d).ask(message("one.example.", dnsmessage.TypeA))
		},
		"port taken": func(t *testing.T) {
			d := startDNS(t, any0(t, v4))
			if _, err := netlab.StartDNS(d.Addr()); err == nil {
				t.Error("two servers on one port")
			}
			h := start(t, netlab.Accept, any0(t, v4))
			if _, err := netlab.StartDNS(h.Addr()); err == nil {
				t.Error("a server on another's TCP port")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("warm up", live)
			before := resources(t)
			t.Run("round", func(t *testing.T) {
				for range 5 {
					live(t)
				}
			})
			eventually(t, "no more descriptors and goroutines than before", func() bool {
				now := resources(t)
				return now.descriptors <= before.descriptors && now.goroutines <= before.goroutines
			})
		})
	}
}
