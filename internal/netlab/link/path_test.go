package link

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

func TestPathCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		addr netip.Addr
		path Path
		says []string // all of them; none: it is right
	}{
		{"zero", server4, Path{}, nil},
		{"most of all", server6, Path{Delay: time.Minute, Jitter: time.Minute, Loss: 1, LoseSYN: []int{3, 1, 1}, State: Up}, nil},
		{"of its family", server4, Path{State: NetProhibited}, nil},
		{"of its family", server6, Path{State: RejectRoute}, nil},
		{"mapped", netip.MustParseAddr("::ffff:198.51.100.1"), Path{State: NetProhibited}, nil},
		{"of both", server6, Path{State: AdminProhibited}, nil},
		{"early", server4, Path{Delay: -1}, []string{"Delay is -1ns; it must be 0 to 1m0s", "Jitter is 0s; it must be 0 to Delay, which is -1ns"}},
		{"late", server4, Path{Delay: time.Minute + 1}, []string{"Delay is 1m0.000000001s"}},
		{"jitter", server4, Path{Delay: ms, Jitter: ms + 1}, []string{"Jitter is 1.000001ms; it must be 0 to Delay, which is 1ms"}},
		{"negative jitter", server4, Path{Delay: ms, Jitter: -1}, []string{"Jitter is -1ns"}},
		{"loss", server4, Path{Loss: 1.001}, []string{"Loss is 1.001; it must be 0 to 1"}},
		{"negative loss", server4, Path{Loss: -0.1}, []string{"Loss is -0.1"}},
		{"no number", server4, Path{Loss: math.NaN()}, []string{"Loss is NaN"}},
		{"SYN", server4, Path{LoseSYN: []int{1, 0, 2, -3}}, []string{"LoseSYN[1] is 0; it must be 1, which is the first SYN, or more", "LoseSYN[3] is -3"}},
		{"unknown", server4, Path{State: "down"}, []string{`State is "down"; for 198.51.100.1 it must be one of up, blackhole, tcp-reset, net-unreachable,`}},
		{"of the other family", server4, Path{State: RejectRoute}, []string{`State is "reject-route"; for 198.51.100.1`}},
		{"of the other family", server6, Path{State: NetProhibited}, []string{`State is "net-prohibited"; for 2001:db8:80::1 it must be one of up, blackhole, tcp-reset,`}},
		{"nowhere", netip.Addr{}, Path{State: "down"}, []string{"the path has no address"}},
		{"all at once", server4, Path{Delay: -ms, Jitter: -1, Loss: 2, LoseSYN: []int{0}, State: "x"}, []string{"Delay", "Jitter", "Loss is", "LoseSYN", "State"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.path.Check(c.addr)
			if (err == nil) != (c.says == nil) {
				t.Fatalf("%+v: %v", c.path, err)
			}
			if err == nil {
				return
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(c.says) {
				t.Errorf("%q: want %d problems", err, len(c.says))
			}
			for i, want := range c.says {
				if !strings.HasPrefix(lines[min(i, len(lines)-1)], want) {
					t.Errorf("%q is no %q", lines[min(i, len(lines)-1)], want)
				}
			}
			if err := New(Config{}).Set(c.addr, c.path); err == nil || !strings.Contains(err.Error(), c.says[0]) {
				t.Errorf("Set: %v", err)
			}
		})
	}
}

// Every listed state is right and nothing else is.
func TestStatesAreThoseThatCheckAllows(t *testing.T) {
	for _, addr := range []netip.Addr{server4, server6} {
		for _, k := range icmpKinds {
			allowed := Path{State: k.state}.Check(addr) == nil
			if listed := slices.Contains(States(addr), k.state); allowed != listed {
				t.Errorf("%v can be %s: listed %v, allowed %v", addr, k.state, listed, allowed)
			}
		}
	}
}

// The caller's slice stays the caller's.
func TestPathIsCopied(t *testing.T) {
	h := newHarness(t, Config{})
	lose := []int{2, 1}
	h.set(server4, Path{LoseSYN: lose})
	if lose[0] != 2 {
		t.Error("Set has sorted the caller's slice")
	}
	lose[0], lose[1] = 7, 8
	h.arrive(0, Client, tcp(server4, "S").frame())
	if got := h.packets()[0].Fate; got != LostSYN {
		t.Errorf("the first SYN is %s", got)
	}
}

func TestConfigCheck(t *testing.T) {
	for says, cfg := range map[string]Config{
		"":                    {Router4: router4, Router6: router6},
		"Router4 is 2001:db8": {Router4: router6},
		"Router6 is 192.0.2":  {Router6: router4},
		"Router6 is ::ffff":   {Router6: netip.MustParseAddr("::ffff:192.0.2.1")},
	} {
		if err := cfg.Check(); (err == nil) != (says == "") || err != nil && !strings.HasPrefix(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", cfg, err, says)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("New takes a wrong Config")
		}
	}()
	New(Config{Router4: router6})
}
