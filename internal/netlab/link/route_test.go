package link

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// Exactly the SYNs that are listed are lost, whatever else is sent, and a new
// path counts anew.
func TestLoseSYN(t *testing.T) {
	for _, state := range []State{Up, TCPReset, HostUnreachable} {
		h := newHarness(t, Config{})
		for round := range 2 {
			h.set(server4, Path{LoseSYN: []int{5, 1, 2}, State: state})
			h.set(other4, Path{})
			for n := 1; n <= 7; n++ {
				before := len(h.packets())
				at := time.Duration(10*round + n)
				h.arrive(at, Client, tcp(server4, "S").frame()) // the same again: a retransmission
				want := map[int]bool{1: true, 2: true, 5: true}[n]
				if got := h.packets()[before].Fate == LostSYN; got != want {
					t.Errorf("%s: SYN %d of round %d is lost: %v", state, n, round, got)
				}
				h.arrive(at, Client, tcp(server4, "A").frame())
				h.arrive(at, Client, tcp(server4, "SA").frame())
				h.arrive(at, Client, tcp(server4, "SR").frame())
				h.arrive(at, Client, udp(server4, 1).frame())
				h.arrive(at, Client, tcp(other4, "S").frame())
				h.arrive(at, Server, tcp(server4, "S").reversed().frame())
			}
		}
		h.end()
		lost := 0
		for _, p := range h.packets() {
			if p.Fate == LostSYN {
				lost++
			}
		}
		if lost != 6 {
			t.Errorf("%s: %d packets are lost by LoseSYN, want 6", state, lost)
		}
	}
}

// Loss is what it says, each way for itself, and of answers too.
func TestLoss(t *testing.T) {
	const n = 8000
	for _, loss := range []float64{0, 0.01, 0.3, 1} {
		for _, state := range []State{Up, TCPReset} {
			h := newHarness(t, Config{Seed: 5})
			h.set(server4, Path{Loss: loss, State: state})
			for i := range n {
				h.arrive(time.Duration(i), Client, tcp(server4, "S").frame())
				if state == Up {
					h.arrive(time.Duration(i), Server, tcp(server4, "SA").reversed().frame())
				}
			}
			h.end()
			fates := make(map[Side]map[Fate]int)
			for _, p := range h.packets() {
				if fates[p.By] == nil {
					fates[p.By] = make(map[Fate]int)
				}
				fates[p.By][p.Fate]++
			}
			sent := map[Side]int{Client: n, Server: n}
			if state == TCPReset {
				sent[Server] = fates[Client][Rejected]
			}
			for side, of := range sent {
				if got := float64(fates[side][Lost]); got < (loss-0.02)*float64(of) || got > (loss+0.02)*float64(of) {
					t.Errorf("%s, loss %v: of %d by the %v %v are lost", state, loss, of, side, got)
				}
				if loss == 0 && fates[side][Lost] > 0 || loss == 1 && fates[side][Lost] < of {
					t.Errorf("%s, loss %v: of %d by the %v %v are lost", state, loss, of, side, fates[side][Lost])
				}
			}
			if got := len(h.out); got != fates[Client][Delivered]+fates[Server][Delivered] {
				t.Errorf("%s, loss %v: %d left, the log has %v", state, loss, got, fates)
			}
		}
	}
}

// Times are within Delay ± Jitter, evenly, except where a packet waits for the
// one before it; nothing is overtaken. What arrives at the same time leaves in
// the order it came.
func TestJitter(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		delay := time.Duration(random.Int64N(int64(100 * ms)))
		jitter := time.Duration(random.Int64N(int64(delay) + 1))
		h := newHarness(t, Config{Seed: seed})
		h.set(server4, Path{Delay: delay, Jitter: jitter, Loss: 0.1})
		const n = 300
		sent := make(map[uint32]time.Duration)
		now := time.Duration(0)
		for i := range uint32(n) {
			if random.IntN(3) > 0 {
				now += time.Duration(random.Int64N(int64(20 * ms)))
			}
			sent[i] = now
			side, p := Client, tcp(server4, "A").with(func(p *packet) { p.seq = i })
			if i%2 == 1 {
				side, p = Server, p.reversed()
			}
			h.arrive(now, side, p.frame())
		}
		last := map[Side]int{Client: -1, Server: -1}
		latest := make(map[Side]time.Duration)
		for _, l := range h.end() {
			i := binary.BigEndian.Uint32(look(t, l.raw).payload[4:])
			if int(i) <= last[l.to] {
				t.Fatalf("seed %d: packet %d leaves after %d", seed, i, last[l.to])
			}
			if l.at < sent[i]+delay-jitter {
				t.Fatalf("seed %d: packet %d took %v of %v ± %v", seed, i, l.at-sent[i], delay, jitter)
			}
			if most := max(sent[i]+delay+jitter, latest[l.to]); l.at > most {
				t.Fatalf("seed %d: packet %d took %v of %v ± %v", seed, i, l.at-sent[i], delay, jitter)
			}
			last[l.to], latest[l.to] = int(i), l.at
		}
		for _, late := range h.e.Lateness() {
			if late != 0 {
				t.Fatalf("seed %d: %v late in virtual time", seed, late)
			}
		}
	}
}

func TestJitterIsEven(t *testing.T) {
	h := newHarness(t, Config{Seed: 7})
	h.set(server4, Path{Delay: 10 * ms, Jitter: 10 * ms})
	const n, bins = 10000, 10
	for i := range n { // far apart: none waits for another
		h.arrive(time.Duration(i)*time.Second, Client, tcp(server4, "A").frame())
	}
	var count [bins]int
	for i, l := range h.end() {
		took := l.at - time.Duration(i)*time.Second
		count[min(int(took*bins/(20*ms)), bins-1)]++
	}
	for bin, got := range count {
		if got < n/bins*8/10 || got > n/bins*12/10 {
			t.Errorf("%d of %d took %v to %v", got, n, time.Duration(bin)*2*ms, time.Duration(bin+1)*2*ms)
		}
	}
}

// fates sends packets to addresses and returns what became of those of the first.
func fates(t *testing.T, seed uint64, loss float64, others int) (all []Packet) {
	h := newHarness(t, Config{Seed: seed})
	h.set(server4, Path{Delay: 10 * ms, Jitter: 10 * ms, Loss: loss})
	h.set(other4, Path{Delay: 10 * ms, Jitter: 10 * ms, Loss: 0.5})
	for i := range 200 {
		at := time.Duration(i) * 100 * ms
		for range others {
			h.arrive(at, Client, tcp(other4, "S").frame())
			h.arrive(at, Server, tcp(other4, "S").reversed().frame())
		}
		h.arrive(at, Client, tcp(server4, "S").frame())
	}
	h.end()
	for _, p := range h.packets() {
		if p.To.Addr() == server4 {
			all = append(all, p)
		}
	}
	return all
}

// The same seed is the same luck, another one is not, and one address's packets
// do not change another's. More loss takes more packets, and the same ones.
func TestLuck(t *testing.T) {
	for seed := range uint64(20) {
		once := fates(t, seed, 0.3, 0)
		if !slices.Equal(once, fates(t, seed, 0.3, 0)) {
			t.Fatalf("seed %d has luck of its own each time", seed)
		}
		if !slices.Equal(once, fates(t, seed, 0.3, 3)) {
			t.Fatalf("seed %d: other addresses change the luck", seed)
		}
		if slices.Equal(once, fates(t, seed+1, 0.3, 0)) {
			t.Fatalf("seeds %d and %d have the same luck", seed, seed+1)
		}
		for i, p := range fates(t, seed, 0.6, 0) {
			if once[i].Fate == Lost && p.Fate != Lost {
				t.Fatalf("seed %d: packet %d gets through with more loss", seed, i)
			}
			if p.Fate == Delivered && p.Arrived != once[i].Arrived {
				t.Fatalf("seed %d: packet %d changes its time with the loss", seed, i)
			}
		}
	}
}

// Neither addresses nor directions share their luck.
func TestLuckDiffers(t *testing.T) {
	const n = 2000
	var all [][]bool
	for i := range 10 {
		for _, from := range []Side{Client, Server} {
			w := way{random: newRandom(1, netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), from)}
			lost := make([]bool, n)
			for j := range lost {
				lost[j] = w.draw().loses(Path{Loss: 0.5})
			}
			all = append(all, lost)
		}
	}
	for i, a := range all {
		for j, b := range all[:i] {
			same := 0
			for k := range a {
				if a[k] == b[k] {
					same++
				}
			}
			if same < n*4/10 || same > n*6/10 {
				t.Errorf("ways %d and %d agree in %d of %d", i, j, same, n)
			}
		}
	}
}
