package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/racer"
)

func TestPercentile(t *testing.T) {
	values := []float64{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}
	for p, want := range map[int]float64{0: 10, 10: 10, 11: 20, 50: 50, 90: 90, 91: 100, 99: 100, 100: 100} {
		if got := percentile(values, p); got != want {
			t.Errorf("the percentile %d is %v, want %v", p, got, want)
		}
	}
}

// The dumb alternative: the first value that enough others do not exceed.
func TestPercentileByCounting(t *testing.T) {
	for range 500 {
		values := make([]float64, 1+rand.IntN(30))
		for i := range values {
			values[i] = float64(rand.IntN(20))
		}
		slices.Sort(values)
		p := rand.IntN(101)
		want := slices.IndexFunc(values, func(v float64) bool {
			below := 0
			for _, w := range values {
				if w <= v {
					below++
				}
			}
			return below*100 >= p*len(values)
		})
		if got := percentile(values, p); got != values[want] {
			t.Fatalf("the percentile %d of %v is %v, want %v", p, values, got, values[want])
		}
	}
}

// Every position is dead equally often, and the dead address has as many names.
func TestDeadPositions(t *testing.T) {
	const fetches = 300
	for _, backends := range backendCounts {
		met := make(map[string]int)
		for i := range fetches {
			met[backendName(backends, deadAt(i, backends))]++
		}
		if len(met) != backends {
			t.Errorf("of %d backends the names are %v", backends, met)
		}
		for name, n := range met {
			if n != fetches/backends && n != fetches/backends+1 {
				t.Errorf("%s is met %d times", name, n)
			}
		}
	}
}

// A failure is counted, and stands among the percentiles as the bound.
func TestFetchResult(t *testing.T) {
	x := fetchResult{}
	for i := range 100 {
		x.Millis = append(x.Millis, float64(i+1))
	}
	x.Millis[3], x.Millis[50] = millisOf(fetchBound), millisOf(fetchBound)
	x.sum()
	row := fetchRow{Bound: millisOf(fetchBound)}
	if x.Fetches != 100 || x.Failures != 2 || x.Median != 52 || x.P90 != 92 || row.text(x.P99) != ">10,000" || row.text(x.Median) != "52.0" {
		t.Errorf("it is %+v", x)
	}
}

// All that fetch do: from a host that answers, and not from one that is not there.
func TestFetchers(t *testing.T) {
	r := new(report)
	fetchers := availableFetchers(r)
	if len(fetchers)+len(r.LeftOut) != 5 {
		t.Errorf("%d fetchers, and left out are %v", len(fetchers), r.LeftOut)
	}
	const wait = 60 * ms
	host, err := netlab.Serve(netip.MustParseAddrPort("127.0.0.1:0"), netlab.HTTP(netlab.HTTPServer{Body: "ok", Delay: wait}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = host.Close() })
	hole, err := netlab.Swallow(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hole.Close() })
	for _, f := range fetchers {
		for range 2 {
			took, err := f.fetch(t.Context(), "http://"+host.Addr().String()+"/")
			if err != nil || took < wait || took > wait+5*time.Second {
				t.Errorf("%s: %v, %v", f.name, took, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*ms)
		if took, err := f.fetch(ctx, "http://"+hole.Addr().String()+"/"); err == nil {
			t.Errorf("%s: a dead address answers after %v", f.name, took)
		}
		cancel()
	}
	if got, want := host.Accepted(), 2*len(fetchers); got != want {
		t.Errorf("the host has accepted %d connections, want %d: every fetch has its own", got, want)
	}
}

// A fetch goes through the dial function it was given.
func TestFetchDials(t *testing.T) {
	refused := errors.New("refused")
	dialed := ""
	fetch := overHTTP(func(_ context.Context, _, address string) (net.Conn, error) {
		dialed = address
		return nil, refused
	})
	if _, err := fetch(t.Context(), "http://site.example/"); !errors.Is(err, refused) || dialed != "site.example:80" {
		t.Errorf("%q was dialed: %v", dialed, err)
	}
}

// racer's dial hands the connection over.
func TestRacingDial(t *testing.T) {
	library := racer.New(racer.Config{})
	t.Cleanup(library.Close)
	host, err := netlab.Accept(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = host.Close() })
	conn, err := racing(library, racer.Options{})(t.Context(), "tcp", host.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.RemoteAddr().String(); got != host.Addr().String() {
		t.Errorf("it is connected to %s", got)
	}
	_ = conn.Close()
}

// One address after the other, in the order of the answer.
func TestOneByOne(t *testing.T) {
	host, err := netlab.Accept(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = host.Close() })
	address := strings.Replace(host.Addr().String(), "127.0.0.1", "localhost", 1)
	conn, err := oneByOne(t.Context(), "tcp", address) // [::1] refuses, if there is one
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
