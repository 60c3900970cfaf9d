package main

import (
	"strings"
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
	Prefer           *string        `enum:"ipv4,ipv6" placeholder:"FAMILY" group:"selection" help:"ipv4 or ipv6 comes first, and is what the first attempt waits for. Default: the order of RFC 6724, and wait for IPv6, or for IPv4 where the host has a route for IPv4 alone."`
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
	Strategy        *string        `enum:"staggered,sequential,all-at-once,first-then-all,family-fallback,adaptive" placeholder:"NAME" group:"timing" help:"staggered (the default, RFC 8305), sequential (what a plain client does), all-at-once, first-then-all (the best one alone, after the attempt delay all others), family-fallback (RFC 6555), or adaptive (a delay for each address, from what is known of it)."`
	AttemptDelay    *time.Duration `placeholder:"TIME" group:"timing" help:"How long the next attempt waits before it starts beside those in flight. Default: 250ms, with family-fallback 300ms; 10ms to 2s take effect."`
	DelayMultiplier float64        `placeholder:"N" group:"timing" help:"Makes the delay longer by this factor for each other attempt in flight, up to 2s. Default: 1."`
	Quantile        float64        `placeholder:"SHARE" group:"timing" help:"With adaptive: the share of past connects that the delay covers, such as 0.95. Default: the retransmission timeout of RFC 6298."`
	MaxBackups      *int32         `placeholder:"N" group:"timing" help:"Second attempts at addresses that have not answered, in case the first packet was lost; 0 makes none. Default: 2."`
	Grace           *time.Duration `placeholder:"TIME" group:"timing" help:"How long those that have lost may go on, to see what they would have come to. Default: 0s."`
	AttemptTimeout  *time.Duration `placeholder:"TIME" group:"timing" help:"How long one attempt may take. Default: 5s."`
	Timeout         *time.Duration `placeholder:"TIME" group:"timing" help:"How long the race may take, resolution included. Default: 30s."`
	MaxInFlight     int32          `placeholder:"N" group:"timing" help:"Attempts in flight at the same time. Default: 128."`
	HappyEyeballs   *string        `enum:"v2,v3" placeholder:"VERSION" group:"timing" help:"v3 (the default) or v2 (RFC 8305) where they differ."`
}

func (f *raceFlags) options(criterion *pb.SuccessCriterion, from *sourceFlags) *pb.RaceOptions {
	m := &pb.RaceOptions{
		Strategy:               f.strategy(),
		AttemptDelay:           duration(f.AttemptDelay),
		AttemptDelayMultiplier: f.DelayMultiplier,
		AdaptiveQuantile:       f.Quantile,
		MaxBackupAttempts:      f.MaxBackups,
		Grace:                  duration(f.Grace),
		AttemptTimeout:         duration(f.AttemptTimeout),
		Timeout:                duration(f.Timeout),
		MaxInFlight:            f.MaxInFlight,
		Version:                f.version(),
		Criterion:              criterion,
		Source:                 from.source(),
		CloseWithFin:           from.CloseWithFIN,
	}
	if proto.Size(m) == 0 {
		return nil
	}
	return m
}

// strategy spells the contract's names as the command line does: "all-at-once" is
// STRATEGY_ALL_AT_ONCE.
func (f *raceFlags) strategy() pb.Strategy {
	if f.Strategy == nil {
		return pb.Strategy_STRATEGY_UNSPECIFIED
	}
	name := strings.ToUpper(strings.ReplaceAll(*f.Strategy, "-", "_"))
	return pb.Strategy(pb.Strategy_value["STRATEGY_"+name])
}

func (f *raceFlags) version() pb.HappyEyeballsVersion {
	switch {
	case f.HappyEyeballs == nil:
		return pb.HappyEyeballsVersion_HAPPY_EYEBALLS_VERSION_UNSPECIFIED
	case *f.HappyEyeballs == "v2":
		return pb.HappyEyeballsVersion_HAPPY_EYEBALLS_VERSION_V2
	}
	return pb.HappyEyeballsVersion_HAPPY_EYEBALLS_VERSION_V3
}

// probeFlags say how a probe starts and bounds its attempts.
type probeFlags struct {
	Interval       *time.Duration `short:"i" placeholder:"TIME" group:"timing" help:"From the start of one round to the start of the next. Default: 1s."`
	AttemptTimeout *time.Duration `placeholder:"TIME" group:"timing" help:"How long one attempt may take. Default: 5s."`
	Timeout        *time.Duration `placeholder:"TIME" group:"timing" help:"How long one round may take; in the first one resolution counts too. Default: 30s."`
	MaxInFlight    int32          `placeholder:"N" group:"timing" help:"Attempts in flight at the same time. Default: 32."`
}

func (f *probeFlags) options(criterion *pb.SuccessCriterion, from *sourceFlags) *pb.ProbeOptions {
	m := &pb.ProbeOptions{
		AttemptTimeout: duration(f.AttemptTimeout),
		Timeout:        duration(f.Timeout),
		MaxInFlight:    f.MaxInFlight,
		Criterion:      criterion,
		Source:         from.source(),
		CloseWithFin:   from.CloseWithFIN,
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
