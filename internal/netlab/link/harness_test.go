package link

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// harness drives an emulator through time.
type harness struct {
	t   testing.TB
	e   *Emulator
	now time.Duration
	out []left
}

// left is a frame that has left the link.
type left struct {
	at  time.Duration
	to  Side
	raw []byte
}

func newHarness(t testing.TB, cfg Config) *harness {
	if cfg == (Config{}) {
		cfg = Config{Router4: router4, Router6: router6}
	}
	return &harness{t: t, e: New(cfg)}
}

func (h *harness) set(addr netip.Addr, p Path) {
	h.t.Helper()
	if err := h.e.Set(addr, p); err != nil {
		h.t.Fatal(err)
	}
}

// arrive lets time pass until at, and has a frame arrive.
func (h *harness) arrive(at time.Duration, from Side, raw []byte) {
	h.t.Helper()
	h.until(at)
	h.e.Arrive(at, from, raw)
}

// until takes out what leaves by then, each at its time.
func (h *harness) until(at time.Duration) {
	h.t.Helper()
	for {
		due, ok := h.e.Next()
		if !ok || due > at {
			break
		}
		h.now = max(h.now, due)
		if due > 0 && h.e.Leave(due-1, h.send) {
			h.t.Fatalf("a frame due at %v leaves before", due)
		}
		if !h.e.Leave(h.now, h.send) {
			h.t.Fatalf("a frame due at %v stays at %v", due, h.now)
		}
	}
	h.now = max(h.now, at)
}

func (h *harness) send(to Side, raw []byte) error {
	h.out = append(h.out, left{h.now, to, bytes.Clone(raw)})
	return nil
}

// end lets everything arrive and returns what has left since the beginning.
func (h *harness) end() []left {
	h.until(h.now + 10*time.Minute)
	return h.out
}

func (h *harness) packets() []Packet {
	h.t.Helper()
	packets, leftOut := h.e.Packets(h.now)
	if leftOut != 0 {
		h.t.Errorf("%d packets are not in the log", leftOut)
	}
	return packets
}

// story is the log as a person would tell it.
func (h *harness) story() []string {
	var lines []string
	for _, p := range h.packets() {
		line := fmt.Sprintf("%v %s %s: %s", p.Sent, p.By, p.Kind, p.Fate)
		if p.Fate == Delivered {
			line += fmt.Sprintf(" %v", p.Arrived)
		}
		if p.Forged {
			line += " forged"
		}
		lines = append(lines, line)
	}
	return lines
}

func (h *harness) want(story ...string) {
	h.t.Helper()
	if got := h.story(); !slices.Equal(got, story) {
		h.t.Errorf("the log is\n%q\nwant\n%q", got, story)
	}
}

// connect has a client and a server shake hands.
func (h *harness) connect(at time.Duration, server netip.Addr) {
	h.t.Helper()
	h.arrive(at, Client, tcp(server, "S").frame())
	h.arrive(at, Server, tcp(server, "SA").reversed().with(func(p *packet) { p.seq, p.ack = 5000, 1001 }).frame())
	h.arrive(at, Client, tcp(server, "A").with(func(p *packet) { p.seq, p.ack = 1001, 5001 }).frame())
}

var families = map[string]netip.Addr{"IPv4": server4, "IPv6": server6}
