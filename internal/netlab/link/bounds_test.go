package link

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// The log is bounded, and says so.
func TestLogIsBounded(t *testing.T) {
	var j journal
	const more = 5
	for i := range maxPackets + more {
		place := j.add(Packet{Sent: time.Duration(i), Kind: SYN, Fate: Underway})
		if want := map[bool]int{true: i, false: unlogged}[i < maxPackets]; place != want {
			t.Fatalf("packet %d is at %d", i, place)
		}
		j.settle(place, Delivered, time.Duration(i+1))
	}
	if got := j.add(Packet{}); got != unlogged || j.leftOut != more {
		t.Errorf("%d are left out, want %d", j.leftOut, more)
	}
	all := j.page(0, j.length+more, maxPackets)
	if len(all) != maxPackets {
		t.Fatalf("%d packets are kept", len(all))
	}
	for i, p := range all {
		if p.Sent != time.Duration(i) || p.Arrived != time.Duration(i+1) || p.Fate != Delivered {
			t.Fatalf("packet %d is %+v", i, p)
		}
	}
	if got := j.page(10, 20, 14); len(got) != 5 {
		t.Errorf("by the time of 14, %d of 10 to 19 have been sent", len(got))
	}
}

func TestLatenessIsBounded(t *testing.T) {
	var l lateness
	const more = 1234
	for i := range maxLateness + more {
		l.add(time.Duration(i))
		if i == 10 {
			if got, next := l.page(3, 8, 3); !slices.Equal(got, []time.Duration{3, 4, 5}) || next != 6 {
				t.Errorf("3 of 3 to 7 are %v, next is %d", got, next)
			}
		}
	}
	all, next := l.page(0, l.total, maxLateness)
	if len(all) != maxLateness || next != l.total || all[0] != more || all[maxLateness-1] != maxLateness+more-1 || !slices.IsSorted(all) {
		t.Errorf("%d values from %v to %v", len(all), all[0], all[len(all)-1])
	}
	if got, next := l.page(0, 10, 100); len(got) != 0 || next < 10 {
		t.Errorf("values no longer kept: %v, next is %d", got, next)
	}
}

// The oldest connection is forgotten for a new one, and no other.
func TestFlowsAreBounded(t *testing.T) {
	f := newFlows()
	name := func(i int) flow {
		return flow{netip.AddrPortFrom(client4, uint16(i)), netip.AddrPortFrom(server4, uint16(i>>16))}
	}
	for i := range maxFlows {
		f.learn(name(i), uint32(i))
	}
	f.forget(name(5))
	f.forget(name(5))
	f.learn(name(5), 5) // the youngest now
	for i := range 10 { // makes 0 to 4 and 6 to 10 go
		f.learn(name(maxFlows+i), 0) // new
		f.learn(name(maxFlows+i), 0) // again
		f.learn(name(maxFlows+i), 1) // another of the same name
	}
	for i := range maxFlows + 10 {
		_, known := f.byName[name(i)]
		if want := i == 5 || i > 10; known != want {
			t.Errorf("flow %d is known: %v", i, known)
		}
	}
	if len(f.byName) != maxFlows || f.byAge.Len() != maxFlows {
		t.Errorf("%d flows, %d by age", len(f.byName), f.byAge.Len())
	}
}

// A list that comes in pages is the list.
func TestPages(t *testing.T) {
	h := newHarness(t, Config{})
	h.set(server4, Path{})
	const n = 3*packetsPerPage + 7
	for i := range n {
		h.arrive(time.Duration(i), Client, tcp(server4, "S").frame())
	}
	for range 3 * latenessPerPage {
		h.e.late.add(ms)
	}
	h.end()
	var packets []Packet
	for p, rounds := (pages{}), 1; ; rounds++ {
		r := request{Packets: &p}.do(h.e, h.now)
		packets = append(packets, r.Packets...)
		h.arrive(h.now, Client, tcp(server4, "S").frame()) // it goes on meanwhile
		if p = (pages{r.Next, r.End}); r.Next >= r.End {
			if rounds != 4 {
				t.Errorf("%d pages", rounds)
			}
			break
		}
	}
	if all := h.packets()[:n]; !slices.Equal(packets, all) {
		t.Errorf("%d packets came, want %d", len(packets), n)
	}
	var late []time.Duration
	for p := (pages{}); ; {
		r := request{Lateness: &p}.do(h.e, h.now)
		late = append(late, r.Lateness...)
		if p = (pages{r.Next, r.End}); r.Next >= r.End {
			break
		}
	}
	if all := h.e.Lateness(); !slices.Equal(late, all[:len(late)]) || len(late) < n+3*latenessPerPage {
		t.Errorf("%d values came, want %d", len(late), len(all))
	}
	if r := (request{Set: &setting{server4, Path{Loss: 2}}}).do(h.e, 0); r.Error == "" {
		t.Error("a wrong path is taken")
	}
}
