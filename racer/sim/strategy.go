package sim

import (
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// Strategies are our own, each as the racer runs it by default, and two without
// their backup attempts, to show what those are worth.
func Strategies() []Dialer {
	dialers := make([]Dialer, 0, 8)
	for _, s := range []sched.Strategy{
		sched.Sequential, sched.FamilyFallback, sched.Staggered,
		sched.FirstThenAll, sched.AllAtOnce, sched.Adaptive,
	} {
		cfg := Defaults(s)
		dialers = append(dialers, Racing(s.String(), cfg))
		if s == sched.Staggered || s == sched.Adaptive {
			cfg.MaxBackups = 0
			dialers = append(dialers, Racing(s.String()+"-no-backups", cfg))
		}
	}
	return dialers
}

// Defaults are those of the racer's options for a strategy. They are written down a
// second time, for the racer's own tests compare it with this package.
func Defaults(s sched.Strategy) sched.Config {
	cfg := sched.Default()
	cfg.Strategy = s
	cfg.AttemptTimeout, cfg.Timeout = 5*time.Second, 30*time.Second
	cfg.MaxBackups = 2
	cfg.MaxInFlight, cfg.MaxPerAnswer = 128, 64
	switch s {
	case sched.Sequential:
		cfg.MaxBackups = 0
	case sched.FamilyFallback:
		cfg.AttemptDelay = sched.DefaultFallbackDelay
	}
	return cfg
}
