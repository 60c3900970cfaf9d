package racer

import (
	"fmt"
	"net/netip"
	"unicode/utf8"

	"github.com/connrace/connrace/internal/netstate"
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
	manner    manner
	caller    string
	untold    bool // the result has no transcript
}

// manner is how each attempt is made.
type manner struct {
	criterion Criterion
	source    Source
	polite    bool // connections end with a FIN
}

// excludes says that addresses of the family can't be left for: the caller binds to
// addresses, and none is of it.
func (m *manner) excludes(f addrsel.Family) bool {
	return (m.source.IPv4.IsValid() || m.source.IPv6.IsValid()) && !m.bound(f).IsValid()
}

// bound is the address of the family that the caller binds to; zero: none.
func (m *manner) bound(f addrsel.Family) netip.Addr {
	if f == addrsel.FamilyIPv4 {
		return m.source.IPv4
	}
	return m.source.IPv6
}

// via is what the routes choose by, beside the destination.
func (m *manner) via() netstate.Via {
	return netstate.Via{Interface: m.source.Interface, Mark: m.source.Mark, DSCP: m.source.DSCP}
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

func planRace(t Target, s Selection, o Options, caller string) (*plan, error) {
	var c checker
	p := &plan{selection: c.selection(s), caller: c.caller(caller)}
	p.options, p.warnings = c.options(o)
	p.manner = manner{criterion: p.options.Criterion, source: p.options.Source, polite: p.options.CloseWithFIN}
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
	if p.options.Strategy != sched.Adaptive && *p.options.MaxBackups == 0 {
		p.warnings = append(p.warnings, inVain(t.Candidates, "only adaptive and backup attempts go by it")...)
	}
	return p, c.err()
}

// planRank plans the race that a ranking is for.
func planRank(t Target, s Selection, o Options) (*plan, error) {
	p, err := planRace(t, s, o, "")
	var more []Warning
	p.options, more = unattempted(p.options)
	p.warnings = append(p.warnings, more...)
	return p, err
}

func planProbe(t Target, s Selection, o ProbeOptions, caller string) (*plan, ProbeOptions, error) {
	var c checker
	p := &plan{selection: c.selection(s), caller: c.caller(caller)}
	o = c.probeOptions(o)
	p.manner = manner{criterion: o.Criterion, source: o.Source, polite: o.CloseWithFIN}
	p.cfg = sched.Config{
		Goal:           sched.Every,
		Strategy:       sched.AllAtOnce,
		AttemptTimeout: o.AttemptTimeout,
		Timeout:        o.Timeout,
		MaxInFlight:    o.MaxInFlight,
	}
	p.selected()
	p.target(&c, t)
	p.warnings = inVain(t.Candidates, "a probe starts all attempts at once and makes no backups")
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
		p.add(c, func() string { return "target" }, &CandidateSpec{Endpoint: t.Name}, -1)
	case len(t.Candidates) > MaxCandidates:
		c.wrongf("candidates", "has %d elements; allowed are %d", len(t.Candidates), MaxCandidates)
	default:
		p.candidates(c, t.Candidates)
	}
}

func (p *plan) candidates(c *checker, specs []CandidateSpec) {
	names := 0
	p.literals = make([]origin, 0, len(specs))
	for i := range specs {
		spec := &specs[i]
		if n := utf8.RuneCountInString(spec.Label); n > MaxLabelLength {
			c.wrongf(fmt.Sprintf("candidates[%d].label", i), "is %d characters long; %d are allowed", n, MaxLabelLength)
		}
		if spec.ExpectedRTT != 0 || len(spec.PastConnects) > 0 {
			c.known(fmt.Sprintf("candidates[%d]", i), spec)
		}
		if named := p.add(c, func() string { return fmt.Sprintf("candidates[%d].endpoint", i) }, spec, i); named {
			names++
		}
	}
	if names > MaxNames {
		c.wrongf("candidates", "has %d names; allowed are %d, beside addresses", names, MaxNames)
	}
}

// add plans one endpoint and reports whether it is a name. field is asked for only when
// something is wrong with it.
func (p *plan) add(c *checker, field func() string, spec *CandidateSpec, index int) (named bool) {
	e, err := parseEndpoint(spec.Endpoint)
	if err != nil {
		c.wrongf(field(), "%v", err)
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
		if p.uses(t.Family()) && !p.manner.excludes(t.Family()) {
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
