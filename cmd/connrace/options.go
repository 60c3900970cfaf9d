package main

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// Flags that were not given leave their fields unset: the daemon has the
// defaults, and says in its reply what took effect.

// selectionFlags say which addresses are used and how they are ordered.
type selectionFlags struct {
	IPv4Only         bool           `name:"ipv4-only" short:"4" xor:"family" group:"selection" help:"Use IPv4 only. Default: both families."`
	IPv6Only         bool           `name:"ipv6-only" short:"6" xor:"family" group:"selection" help:"Use IPv6 only."`
	Prefer           *string        `enum:"ipv4,ipv6" placeholder:"FAMILY" group:"selection" help:"ipv4 or ipv6 comes first, and is what the first attempt waits for. Default: the order of RFC 6724, and wait for IPv6."`
	FirstFamilyCount int32          `placeholder:"N" group:"selection" help:"Addresses of the first family before the first of the other. Default: 1."`
	ResolutionDelay  *time.Duration `placeholder:"TIME" group:"selection" help:"How long the first known address waits for the preferred family's answer. Default: 50ms."`
	MaxAddresses     int32          `placeholder:"N" group:"selection" help:"Addresses used of one DNS answer; the others are skipped. Default: 64."`
}

func (f *selectionFlags) selection() *pb.SelectionOptions {
	m := &pb.SelectionOptions{
		OnlyFamily:              f.onlyFamily(),
		PreferredFamily:         f.preferredFamily(),
		FirstAddressFamilyCount: f.FirstFamilyCount,
		ResolutionDelay:         duration(f.ResolutionDelay),
		MaxAddressesPerAnswer:   f.MaxAddresses,
	}
	if proto.Size(m) == 0 {
		return nil
	}
	return m
}

func (f *selectionFlags) onlyFamily() pb.AddressFamily {
	switch {
	case f.IPv4Only:
		return pb.AddressFamily_ADDRESS_FAMILY_IPV4
	case f.IPv6Only:
		return pb.AddressFamily_ADDRESS_FAMILY_IPV6
	}
	return pb.AddressFamily_ADDRESS_FAMILY_UNSPECIFIED
}

func (f *selectionFlags) preferredFamily() pb.AddressFamily {
	switch {
	case f.Prefer == nil:
		return pb.AddressFamily_ADDRESS_FAMILY_UNSPECIFIED
	case *f.Prefer == "ipv4":
		return pb.AddressFamily_ADDRESS_FAMILY_IPV4
	}
	return pb.AddressFamily_ADDRESS_FAMILY_IPV6
}

// raceFlags say how a race starts and bounds its attempts.
type raceFlags struct {
	Strategy       *string        `enum:"staggered,sequential,all-at-once,first-then-all" placeholder:"NAME" group:"timing" help:"staggered (the default, RFC 8305), sequential (what a plain client does), all-at-once, or first-then-all (the best one alone, after the attempt delay all others)."`
	AttemptDelay   *time.Duration `placeholder:"TIME" group:"timing" help:"How long a staggered race waits before it starts the next attempt beside those in flight. Default: 250ms; 10ms to 2s take effect."`
	AttemptTimeout *time.Duration `placeholder:"TIME" group:"timing" help:"How long one attempt may take. Default: 5s."`
	Timeout        *time.Duration `placeholder:"TIME" group:"timing" help:"How long the race may take, resolution included. Default: 30s."`
	MaxInFlight    int32          `placeholder:"N" group:"timing" help:"Attempts in flight at the same time. Default: 128."`
}

func (f *raceFlags) options() *pb.RaceOptions {
	m := &pb.RaceOptions{
		Strategy:       f.strategy(),
		AttemptDelay:   duration(f.AttemptDelay),
		AttemptTimeout: duration(f.AttemptTimeout),
		Timeout:        duration(f.Timeout),
		MaxInFlight:    f.MaxInFlight,
	}
	if proto.Size(m) == 0 {
		return nil
	}
	return m
}

func (f *raceFlags) strategy() pb.Strategy {
	switch {
	case f.Strategy == nil:
		return pb.Strategy_STRATEGY_UNSPECIFIED
	case *f.Strategy == "sequential":
		return pb.Strategy_STRATEGY_SEQUENTIAL
	case *f.Strategy == "all-at-once":
		return pb.Strategy_STRATEGY_ALL_AT_ONCE
	case *f.Strategy == "first-then-all":
		return pb.Strategy_STRATEGY_FIRST_THEN_ALL
	}
	return pb.Strategy_STRATEGY_STAGGERED
}

// probeFlags say how a probe starts and bounds its attempts.
type probeFlags struct {
	Interval       *time.Duration `short:"i" placeholder:"TIME" group:"timing" help:"From the start of one round to the start of the next. Default: 1s."`
	AttemptTimeout *time.Duration `placeholder:"TIME" group:"timing" help:"How long one attempt may take. Default: 5s."`
	Timeout        *time.Duration `placeholder:"TIME" group:"timing" help:"How long one round may take; in the first one resolution counts too. Default: 30s."`
	MaxInFlight    int32          `placeholder:"N" group:"timing" help:"Attempts in flight at the same time. Default: 32."`
}

func (f *probeFlags) options() *pb.ProbeOptions {
	m := &pb.ProbeOptions{
		AttemptTimeout: duration(f.AttemptTimeout),
		Timeout:        duration(f.Timeout),
		MaxInFlight:    f.MaxInFlight,
	}
	if proto.Size(m) == 0 {
		return nil
	}
	return m
}

// duration keeps the difference between not given and zero.
func duration(d *time.Duration) *durationpb.Duration {
	if d == nil {
		return nil
	}
	return durationpb.New(*d)
}
