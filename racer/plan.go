package racer

import (
	"fmt"
	"net/netip"
	"unicode/utf8"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// plan is a request that has been checked.
type plan struct {
	cfg       sched.Config
	selection Selection
	options   Options
	warnings  []Warning
	literals  []origin // candidates known without asking
	known     []fact   // likewise, with the facts of an earlier round
	asked     []origin // where the candidates of each question come from
}

// origin says where a candidate comes from.
type origin struct {
	kind   Origin
	name   string     // of a question
	addr   netip.Addr // of a literal
	port   uint16
	label  string
	index  int               // in Target.Candidates; -1: the target has a name
	expect sched.Expectation // what the caller knows of it
}

func planRace(t Target, s Selection, o Options) (plan, error) {
	var c checker
	p := plan{selection: c.selection(s)}
	p.options, p.warnings = c.options(o)
	p.cfg = sched.Config{
		Strategy:       p.options.Strategy,
		Version:        p.options.Version,
		Multiplier:     p.options.DelayMultiplier,
		Quantile:       p.options.Quantile,
		MaxBackups:     *p.options.MaxBackups,
		Grace:          p.options.Grace,
		AttemptTimeout: p.options.AttemptTimeout,
		Timeout:        p.options.Timeout,
		MaxInFlight:    p.options.MaxInFlight,
	}
	if p.options.AttemptDelay != nil {
		p.cfg.AttemptDelay = *p.options.AttemptDelay
	}
	p.selected()
	p.target(&c, t)
	return p, c.err()
}

func planProbe(t Target, s Selection, o ProbeOptions) (plan, ProbeOptions, error) {
	var c checker
	p := plan{selection: c.selection(s)}
	o = c.probeOptions(o)
	p.cfg = sched.Config{
		Goal:           sched.Every,
		Strategy:       sched.AllAtOnce,
		AttemptTimeout: o.AttemptTimeout,
		Timeout:        o.Timeout,
		MaxInFlight:    o.MaxInFlight,
	}
	p.selected()
	p.target(&c, t)
	return p, o, c.err()
}

// selected puts the selection into the race's configuration.
func (p *plan) selected() {
	p.cfg.ResolutionDelay = *p.selection.ResolutionDelay
	p.cfg.MaxPerAnswer = p.selection.MaxAddressesPerAnswer
	p.cfg.Ranking = addrsel.Config{
		PreferredFamily:  p.selection.PreferredFamily,
		FirstFamilyCount: p.selection.FirstFamilyCount,
	}
}

// target turns what was asked for into literals and questions.
func (p *plan) target(c *checker, t Target) {
	switch {
	case t.Name == "" && len(t.Candidates) == 0:
		c.wrongf("target", `is missing; set it to a name or an address with a port, such as "example.com:443", or give candidates`)
	case t.Name != "" && len(t.Candidates) > 0:
		c.wrongf("target", "and candidates are both set; set one of them")
	case t.Name != "":
		p.add(c, "target", CandidateSpec{Endpoint: t.Name}, -1)
	case len(t.Candidates) > MaxCandidates:
		c.wrongf("candidates", "has %d elements; allowed are %d", len(t.Candidates), MaxCandidates)
	default:
		p.candidates(c, t.Candidates)
	}
}

func (p *plan) candidates(c *checker, specs []CandidateSpec) {
	names := 0
	for i, spec := range specs {
		field := fmt.Sprintf("candidates[%d]", i)
		if utf8.RuneCountInString(spec.Label) > MaxLabelLength {
			c.wrongf(field+".label", "is %d characters long; %d are allowed", utf8.RuneCountInString(spec.Label), MaxLabelLength)
		}
		c.known(field, spec)
		if named := p.add(c, field+".endpoint", spec, i); named {
			names++
		}
	}
	if names > MaxNames {
		c.wrongf("candidates", "has %d names; allowed are %d, beside addresses", names, MaxNames)
	}
}

// add plans one endpoint and reports whether it is a name.
func (p *plan) add(c *checker, field string, spec CandidateSpec, index int) (named bool) {
	e, err := parseEndpoint(spec.Endpoint)
	if err != nil {
		c.wrongf(field, "%v", err)
		return false
	}
	o := origin{name: e.name, addr: e.addr, port: e.port, label: spec.Label, index: index, expect: expectation(spec)}
	if e.name == "" {
		o.kind = OriginLiteral
		p.literals = append(p.literals, o)
		return false
	}
	// RFC 8305 section 3: AAAA first, A right after.
	for _, t := range []sched.RecordType{sched.AAAA, sched.A} {
		if p.uses(t.Family()) {
			o.kind = originOf(t)
			p.cfg.Questions = append(p.cfg.Questions, sched.Question{Name: e.name, Type: t})
			p.asked = append(p.asked, o)
		}
	}
	return true
}

// addresses is how many there can be.
func (p *plan) addresses() int {
	return len(p.literals) + len(p.cfg.Questions)*p.cfg.MaxPerAnswer
}

func (p *plan) uses(f addrsel.Family) bool {
	return p.selection.OnlyFamily == addrsel.FamilyAny || p.selection.OnlyFamily == f
}
