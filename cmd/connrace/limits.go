package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"

	"github.com/connrace/connrace/internal/admit"
	"github.com/connrace/connrace/racer"
)

// limitFlags bound what all calls of a daemon do together. Those of destinations have
// defaults: many races to one host at the same time should not hit it all at once.
type limitFlags struct {
	InFlight             int `placeholder:"N" group:"limits" help:"Attempts in flight. Default: 0, as many as there are descriptors for."`
	PerSecond            int `placeholder:"N" group:"limits" help:"Attempts that start each second. Default: 0, no limit."`
	CallerInFlight       int `placeholder:"N" group:"limits" help:"Attempts in flight of one caller (caller_key). Default: 0, no limit."`
	CallerPerSecond      int `placeholder:"N" group:"limits" help:"Attempts of one caller that start each second. Default: 0, no limit."`
	DestinationInFlight  int `default:"256" placeholder:"N" group:"limits" help:"Attempts in flight to one address and port; 0: no limit. Default: 256."`
	DestinationPerSecond int `default:"500" placeholder:"N" group:"limits" help:"Attempts to one address and port that start each second; 0: no limit. Default: 500."`
	PrefixInFlight       int `default:"4096" placeholder:"N" group:"limits" help:"Attempts in flight to one /24 or /48; 0: no limit. Default: 4096."`
	PrefixPerSecond      int `default:"5000" placeholder:"N" group:"limits" help:"Attempts to one /24 or /48 that start each second; 0: no limit. Default: 5000."`
	Waiting              int `default:"10000" placeholder:"N" group:"limits" help:"Attempts that may wait for these limits before further calls are refused; 0: the default, 10000."`
}

// limits are those in effect. An error names the flag.
func (f *limitFlags) limits() (racer.Limits, error) {
	l := racer.Limits{
		InFlight: f.InFlight, PerSecond: f.PerSecond,
		CallerInFlight: f.CallerInFlight, CallerPerSecond: f.CallerPerSecond,
		DestinationInFlight: f.DestinationInFlight, DestinationPerSecond: f.DestinationPerSecond,
		PrefixInFlight: f.PrefixInFlight, PrefixPerSecond: f.PrefixPerSecond,
		Waiting: cmp.Or(f.Waiting, admit.DefaultWaiting),
	}
	if wrong := l.Check(); len(wrong) > 0 {
		name := strings.TrimPrefix(wrong[0].Field, "limits.")
		return l, usage(fmt.Sprintf("--%s %s", strings.ReplaceAll(name, "_", "-"), wrong[0].Message))
	}
	return l, nil
}

// limitAttrs are the limits in effect, for the log; 0 is none.
func limitAttrs(l racer.Limits) slog.Value {
	return slog.GroupValue(
		slog.Int("in_flight", l.InFlight), slog.Int("per_second", l.PerSecond),
		slog.Int("caller_in_flight", l.CallerInFlight), slog.Int("caller_per_second", l.CallerPerSecond),
		slog.Int("destination_in_flight", l.DestinationInFlight), slog.Int("destination_per_second", l.DestinationPerSecond),
		slog.Int("prefix_in_flight", l.PrefixInFlight), slog.Int("prefix_per_second", l.PrefixPerSecond),
		slog.Int("waiting", l.Waiting),
	)
}
