package stage

import (
	"context"
	"os"
	"runtime"
	"testing"

	"github.com/connrace/connrace/internal/netlab"
)

type usage struct{ descriptors, goroutines int }

func resources(t *testing.T) usage {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return usage{len(entries), runtime.NumGoroutine()}
}

// Nothing is left of runs, however they end: no descriptor and no goroutine, and no
// connection at the peer.
func TestNothingIsLeft(t *testing.T) {
	w := newWorld(t)
	web, states := netlab.HTTP(netlab.HTTPServer{Body: "body"}), netlab.NewHealthServer()
	for what, c := range map[string]struct {
		behaviour netlab.Behaviour
		ask       *Criterion
	}{
		"tls":           {w.secure(netlab.Read()), &Criterion{TLS: w.tls()}},
		"not verified":  {w.secure(netlab.Read()), &Criterion{TLS: &TLS{}}},
		"http":          {web, &Criterion{HTTP: &HTTP{}}},
		"h2":            {w.secure(web, "h2"), &Criterion{TLS: w.tls("h2"), HTTP: &HTTP{}}},
		"not http":      {netlab.Garbage(), &Criterion{HTTP: &HTTP{}}},
		"health":        {netlab.Health(states), &Criterion{Health: &Health{}}},
		"health, TLS":   {w.secure(netlab.Health(states), "h2"), &Criterion{TLS: w.tls(), Health: &Health{}}},
		"no service":    {netlab.Health(states), &Criterion{Health: &Health{Service: "x"}}},
		"not gRPC":      {netlab.Garbage(), &Criterion{Health: &Health{}}},
		"no first byte": {netlab.Read(), &Criterion{FirstByte: true}},
	} {
		t.Run(what, func(t *testing.T) {
			h, err := netlab.Serve(v4, c.behaviour)
			must(t, err)
			defer func() { must(t, h.Close()) }()
			once := func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.ask.FirstByte {
					cancel()
				}
				if o := over(ctx, t, c.ask, Peer{Name: "lab.example", Endpoint: h.Addr()}, dial(t, h.Addr())); o.ok {
					must(t, o.result.Close())
				}
			}
			t.Run("warm up", once)
			eventually(t, "the peer is alone", func() bool { return h.Open() == 0 })
			before := resources(t)
			t.Run("round", func(t *testing.T) {
				for range 20 {
					once(t)
				}
			})
			eventually(t, "no more descriptors, goroutines and connections than before", func() bool {
				now := resources(t)
				return h.Open() == 0 && now.descriptors <= before.descriptors && now.goroutines <= before.goroutines
			})
		})
	}
}
