package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/connrace/connrace/racer/sched"
	"github.com/connrace/connrace/racer/sim"
)

// Names of kinds and dialers, as they are typed and as tables show them: with
// dashes, and in upper or lower case.

// typed is a name that need not be quoted.
func typed(name string) string { return strings.NewReplacer("_", "-", " ", "-").Replace(name) }

func sameName(a, b string) bool { return strings.EqualFold(typed(a), typed(b)) }

// peers are the programs that ours is compared with. Where a program can be told how
// long its caller waits, it is told: some share that time out among the addresses.
func peers() []sim.Dialer {
	return []sim.Dialer{
		sim.NetDialer(sim.DefaultPatience), sim.Curl(sim.DefaultPatience), sim.Curl788(sim.DefaultPatience),
		sim.Chromium(), sim.Node(0), sim.Connie(sim.DefaultPatience),
	}
}

// chooseDialers returns those with the given names; all if there are none.
func chooseDialers(names []string) ([]sim.Dialer, error) {
	all := slices.Concat(sim.Strategies(), peers())
	if len(names) == 0 {
		return all, nil
	}
	chosen := make([]sim.Dialer, len(names))
	for i, name := range names {
		at := slices.IndexFunc(all, func(d sim.Dialer) bool { return sameName(d.Name, name) })
		switch {
		case at < 0:
			return nil, fmt.Errorf("--dialers has %q; there are %s", name, dialerNames(all))
		case slices.ContainsFunc(chosen[:i], func(d sim.Dialer) bool { return d.Name == all[at].Name }):
			return nil, fmt.Errorf("--dialers has %s twice", typed(all[at].Name))
		}
		chosen[i] = all[at]
	}
	return chosen, nil
}

func dialerNames(dialers []sim.Dialer) string {
	names := make([]string, len(dialers))
	for i, d := range dialers {
		names[i] = typed(d.Name)
	}
	return strings.Join(names, ", ")
}

// chooseKinds returns those with the given names; all if there are none.
func chooseKinds(names []string) ([]sim.Kind, error) {
	all := sim.Kinds()
	if len(names) == 0 {
		return all, nil
	}
	chosen := make([]sim.Kind, len(names))
	for i, name := range names {
		at := slices.IndexFunc(all, func(k sim.Kind) bool { return sameName(k.String(), name) })
		switch {
		case at < 0:
			return nil, fmt.Errorf("--kinds has %q; there are %s", name, kindNames())
		case slices.Contains(chosen[:i], all[at]):
			return nil, fmt.Errorf("--kinds has %s twice", typed(all[at].String()))
		}
		chosen[i] = all[at]
	}
	return chosen, nil
}

func kindNames() string {
	var names []string
	for _, k := range sim.Kinds() {
		names = append(names, typed(k.String()))
	}
	return strings.Join(names, ", ")
}

// kindWords say what a kind of worlds is like.
func kindWords(k sim.Kind) string {
	switch k {
	case sim.Healthy:
		return "everything works"
	case sim.OneDead:
		return "one address of several is dead"
	case sim.FamilyBroken:
		return "all addresses of one family are dead"
	case sim.Lossy:
		return "the client's link loses packets"
	case sim.SlowDNS:
		return "one of the two answers of DNS is late, or never comes"
	case sim.Mixed:
		return "as on an ordinary day"
	}
	return ""
}

// strategyOf is the configuration of a dialer that is a strategy of ours.
func strategyOf(d sim.Dialer) (cfg sched.Config, ours bool) {
	word, bare := strings.CutSuffix(d.Name, "-no-backups")
	for s := range sched.Adaptive + 1 {
		if s.String() != word {
			continue
		}
		cfg = sim.Defaults(s)
		if bare {
			cfg.MaxBackups = 0
		}
		return cfg, true
	}
	return sched.Config{}, false
}
