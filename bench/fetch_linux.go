package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/topology"
)

// fetchRow is how long programs took to the first byte of a fetch when one of the
// addresses behind the name was dead.
type fetchRow struct {
	Backends int           `json:"backends"` // the dead one included
	Bound    float64       `json:"boundMs"`  // of each fetch; one that takes longer has failed
	Results  []fetchResult `json:"results"`
}

// fetchResult is in milliseconds. A fetch that failed counts as one that took Bound.
type fetchResult struct {
	Program  string    `json:"program"`
	Fetches  int       `json:"fetches"`
	Failures int       `json:"failures"`
	Median   float64   `json:"medianMs"`
	P90      float64   `json:"p90Ms"`
	P99      float64   `json:"p99Ms"`
	Max      float64   `json:"maxMs"`
	Millis   []float64 `json:"allMs"` // in the order of the fetches
}

const (
	// fetchOneWay is the delay of the lab link here; a handshake takes twice as long.
	fetchOneWay = 5 * time.Millisecond
	// fetchBound is how long a fetch may take.
	fetchBound = 10 * time.Second
	// fetchPace is between the starts of two fetches.
	fetchPace = 8 * time.Millisecond
	// fetchesAtOnce bounds those that wait, of all programs.
	fetchesAtOnce = 500
)

// backendCounts are how many addresses a name has, one of them dead.
var backendCounts = []int{2, 4, 8}

// fetches returns how many each program makes of each count of backends.
func (p pace) fetches() int {
	if p.short {
		return 30
	}
	return 300
}

// fetchAll has all programs fetch, one after the other every fetchPace, so that those
// that wait for a dead address hold up nobody.
func fetchAll(lab *netlab.Lab, n int, fetchers []fetcher) ([]fetchRow, error) {
	if err := openBackends(lab); err != nil {
		return nil, err
	}
	rows := make([]fetchRow, len(backendCounts))
	for i, backends := range backendCounts {
		rows[i] = fetchRow{Backends: backends, Bound: millisOf(fetchBound)}
		for _, f := range fetchers {
			rows[i].Results = append(rows[i].Results, fetchResult{Program: f.name, Millis: make([]float64, n)})
		}
	}
	var running sync.WaitGroup
	room := make(chan struct{}, fetchesAtOnce)
	pace := time.NewTicker(fetchPace)
	defer pace.Stop()
	for i := range n {
		if i%max(1, n/10) == 0 {
			fmt.Printf("  fetch %d of %d by each of %d programs\n", i+1, n*len(rows), len(fetchers))
		}
		for r, backends := range backendCounts {
			for f, fetcher := range fetchers {
				<-pace.C
				room <- struct{}{}
				result := &rows[r].Results[f].Millis[i]
				running.Go(func() {
					*result = fetchOnce(fetcher, "http://"+backendName(backends, deadAt(i, backends))+"/")
					<-room
				})
			}
		}
	}
	running.Wait()
	for _, row := range rows {
		for i := range row.Results {
			row.Results[i].sum()
		}
	}
	return rows, nil
}

// fetchOnce returns how long it took in milliseconds: the bound if it failed.
func fetchOnce(f fetcher, url string) float64 {
	ctx, cancel := context.WithTimeout(context.Background(), fetchBound)
	defer cancel()
	took, err := f.fetch(ctx, url)
	if err != nil || took >= fetchBound {
		return millisOf(fetchBound)
	}
	return millisOf(took)
}

func (x *fetchResult) sum() {
	sorted := slices.Sorted(slices.Values(x.Millis))
	x.Fetches = len(sorted)
	x.Failures = len(sorted) - lessThan(sorted, millisOf(fetchBound))
	x.Median, x.P90, x.P99 = percentile(sorted, 50), percentile(sorted, 90), percentile(sorted, 99)
	x.Max = sorted[len(sorted)-1]
}

// lessThan is how many of the sorted values are less than most.
func lessThan(sorted []float64, most float64) int {
	n, _ := slices.BinarySearch(sorted, most)
	return n
}

// percentile is the smallest of the sorted values that p percent of them do not
// exceed (nearest rank).
func percentile(sorted []float64, p int) float64 {
	const whole = 100
	rank := (p*len(sorted) + whole - 1) / whole // in integers: 0.28 times 25 is more than 7
	return sorted[max(rank, 1)-1]
}

func millisOf(d time.Duration) float64 { return d.Seconds() * 1e3 }

// openBackends makes the addresses and the names.
func openBackends(lab *netlab.Lab) error {
	most := slices.Max(backendCounts)
	var good []netip.Addr
	for i := range most - 1 {
		addr := netip.AddrFrom4([4]byte{198, 51, 101, byte(i + 1)})
		if err := serve(lab, netip.AddrPortFrom(addr, 80), link.Path{Delay: fetchOneWay}, netlab.HTTP(netlab.HTTPServer{Body: "ok"})); err != nil {
			return err
		}
		good = append(good, addr)
	}
	dead := netip.AddrFrom4([4]byte{198, 51, 101, 100})
	if err := lab.SetPath(dead, link.Path{State: link.Blackhole}); err != nil {
		return err
	}
	resolver := netip.MustParseAddr(topology.DefaultResolver)
	if err := lab.SetPath(resolver, link.Path{Delay: topology.ResolverDelay}); err != nil {
		return err
	}
	dns, err := lab.StartDNS(netip.AddrPortFrom(resolver, 53))
	if err != nil {
		return err
	}
	for _, n := range backendCounts {
		for position := range n {
			dns.Set(backendName(n, position), netlab.Answers{A: netlab.Answer{Addrs: slices.Insert(slices.Clone(good[:n-1]), position, dead)}})
		}
	}
	return lab.UseResolver(resolver)
}

// deadAt is the position of the dead address, from 0, that the i-th fetch meets: each
// is met equally often.
func deadAt(i, backends int) int { return i % backends }

// backendName has so many addresses, with the dead one at the position, from 0.
func backendName(backends, position int) string {
	return fmt.Sprintf("dead-at-%d-of-%d.example", position+1, backends)
}

func (r fetchRow) print() {
	fmt.Printf("\nmilliseconds to the first byte of an HTTP fetch, 1 of %d backends dead, each fetch bounded to %v\n", r.Backends, fetchBound)
	fmt.Printf("  %-26s %8s %9s %9s %9s %9s %9s\n", "", "fetches", "failed", "median", "p90", "p99", "max")
	for _, x := range r.Results {
		fmt.Printf("  %-26s %8d %9d %9s %9s %9s %9s\n", x.Program, x.Fetches, x.Failures, r.text(x.Median), r.text(x.P90), r.text(x.P99), r.text(x.Max))
	}
}

// text of a time that a failure stands for has a sign.
func (r fetchRow) text(millis float64) string {
	if millis >= r.Bound {
		return ">" + figure(r.Bound)
	}
	return figure(millis)
}
