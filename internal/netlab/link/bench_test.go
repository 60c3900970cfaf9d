package link

import (
	"testing"
	"time"
)

// BenchmarkArrive is a frame's way through the emulator: in, and out when it is
// due.
func BenchmarkArrive(b *testing.B) {
	for _, c := range []struct {
		name  string
		state State
		p     packet
	}{
		{"SYN", Up, tcp(server4, "S")},
		{"IPv6 SYN", Up, tcp(server6, "S")},
		{"data", Up, tcp(server4, "A").with(func(p *packet) { p.payload = 1400 })},
		{"IPv6 data", Up, tcp(server6, "A").with(func(p *packet) { p.payload = 1400 })},
		{"datagram", Up, udp(server4, 512)},
		{"SYN into a blackhole", Blackhole, tcp(server4, "S")},
		{"SYN to a closed port", TCPReset, tcp(server4, "S")},
		{"SYN to no host", HostUnreachable, tcp(server4, "S")},
	} {
		b.Run(c.name, func(b *testing.B) {
			fresh := func() *Emulator {
				e := New(Config{Router4: router4})
				must(e.Set(c.p.dst, Path{Delay: time.Millisecond, Jitter: time.Millisecond, State: c.state}))
				return e
			}
			e := fresh()
			raw := c.p.frame()
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			send := func(Side, []byte) error { return nil }
			for now := time.Duration(0); b.Loop(); now += 10 * time.Microsecond {
				e.Arrive(now, Client, raw)
				for e.Leave(now, send) {
				}
				if e.journal.length == maxPackets { // a full log costs nothing more
					e = fresh()
				}
			}
		})
	}
}
