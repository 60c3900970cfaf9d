package racer

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// Verdict sums a probe up. An attempt counts when it connected, failed or used up
// its time. Failures that are this host's own trouble do not count, nor do attempts
// that the end of the probe cut short.
type Verdict uint8

const (
	// Inconclusive means that no attempt counts, so nothing can be said about the target.
	Inconclusive Verdict = iota
	// Reachable means that at least one attempt counts, and all that count connected.
	Reachable
	// Degraded means that some that count connected and some did not.
	Degraded
	// Unreachable means that at least one counts, and none that counts connected.
	Unreachable
)

// Report is what a probe measured.
type Report struct {
	Verdict Verdict // of all attempts together
	// Candidates are ordered by what was measured: by the share of attempts that
	// connected, then by the median; those never tried last, in ranked order.
	Candidates []Probed
	// Families has each family of which a candidate may be tried.
	Families []ProbedFamily
}

// Probed is a candidate and what was measured of it. The candidate's Position
// is its place in the ranked order.
type Probed struct {
	Candidate
	Stats Stats // of its attempts
}

// ProbedFamily is what was measured of all addresses of one family.
type ProbedFamily struct {
	Family    addrsel.Family // which one
	Verdict   Verdict        // of its attempts together
	Addresses int            // that may be tried
	Reachable int            // of those: connected at least once
	Stats     Stats          // of its attempts together
}

// Stats count and sum up attempts.
type Stats struct {
	Count        int             // attempts that count for a verdict
	Failures     int             // of those: did not connect
	HostFailures int             // this host's own; not in Count
	Kinds        []FailureCount  // the most frequent first, this host's own included
	Samples      []time.Duration // of the attempts that connected, in the order they were measured
}

// FailureCount is how often one kind of failure was seen.
type FailureCount struct {
	Type  string      // as in sched.Failure
	Errno string      // likewise
	Fault sched.Fault // likewise
	Count int         // how often
}

// Quantile returns the smallest sample that a share q of the samples does not
// exceed (nearest rank), and 0 without samples. q is from 0 to 1.
func (s *Stats) Quantile(q float64) time.Duration { return sched.Quantile(s.sorted(), q) }

// Quantiles returns several quantiles, in the order in which they are asked for.
func (s *Stats) Quantiles(qs ...float64) []time.Duration {
	sorted := s.sorted()
	all := make([]time.Duration, len(qs))
	for i, q := range qs {
		all[i] = sched.Quantile(sorted, q)
	}
	return all
}

// sorted are the samples, the shortest first. They must not be changed.
func (s *Stats) sorted() []time.Duration {
	if len(s.Samples) <= 1 {
		return s.Samples
	}
	sorted := slices.Clone(s.Samples)
	slices.Sort(sorted)
	return sorted
}

// Verdict judges the attempts by the criteria of the type Verdict.
func (s *Stats) Verdict() Verdict {
	switch {
	case s.Count == 0:
		return Inconclusive
	case s.Failures == 0:
		return Reachable
	case s.Failures == s.Count:
		return Unreachable
	default:
		return Degraded
	}
}

func (s *Stats) add(a *Attempt) {
	switch a.Outcome {
	case sched.OutcomeConnected:
		s.Count++
		s.Samples = append(s.Samples, a.Duration())
	case sched.OutcomeFailed, sched.OutcomeTimedOut:
		s.fail(a.Failure)
	case sched.OutcomeConnectedLate:
		if a.Failure != (sched.Failure{}) { // its time was up; otherwise the probe's was
			s.fail(a.Failure)
		}
	}
}

func (s *Stats) fail(f sched.Failure) {
	if f.Fault == sched.FaultHost {
		s.HostFailures++
	} else {
		s.Count++
		s.Failures++
	}
	for i := range s.Kinds {
		if k := &s.Kinds[i]; k.Type == f.Type && k.Errno == f.Errno && k.Fault == f.Fault {
			k.Count++
			return
		}
	}
	s.Kinds = append(s.Kinds, FailureCount{Type: f.Type, Errno: f.Errno, Fault: f.Fault, Count: 1})
}

// settle brings the kinds into their order.
func (s *Stats) settle() {
	slices.SortStableFunc(s.Kinds, func(a, b FailureCount) int { return cmp.Compare(b.Count, a.Count) })
}

// share is the part of the attempts that connected; of a candidate that has no
// attempt that counts it is less than nothing, so that it sorts last.
func (s *Stats) share() float64 {
	if s.Count == 0 {
		return -1
	}
	return float64(s.Count-s.Failures) / float64(s.Count)
}

func report(candidates []Candidate) Report {
	var r Report
	var all Stats
	r.Candidates = make([]Probed, len(candidates))
	for i := range candidates {
		p := &r.Candidates[i]
		p.Candidate = candidates[i]
		for j := range p.Attempts {
			p.Stats.add(&p.Attempts[j])
			all.add(&p.Attempts[j])
		}
		p.Stats.settle()
	}
	r.Verdict = all.Verdict()
	for _, f := range []addrsel.Family{addrsel.FamilyIPv6, addrsel.FamilyIPv4} {
		if family := probedFamily(f, candidates); family.Addresses > 0 {
			r.Families = append(r.Families, family)
		}
	}
	r.Candidates = byMeasurement(r.Candidates)
	return r
}

// byMeasurement puts candidates into the order of Report.Candidates.
func byMeasurement(probed []Probed) []Probed {
	type measured struct {
		at     int
		share  float64
		median time.Duration
	}
	order := make([]measured, len(probed))
	for i := range probed {
		order[i] = measured{i, probed[i].Stats.share(), probed[i].Stats.Quantile(0.5)}
	}
	slices.SortFunc(order, func(a, b measured) int {
		return cmp.Or(
			cmp.Compare(b.share, a.share),
			cmp.Compare(a.median, b.median),
			cmp.Compare(probed[a.at].Position, probed[b.at].Position),
		)
	})
	sorted := make([]Probed, len(probed))
	for i, m := range order {
		sorted[i] = probed[m.at]
	}
	return sorted
}

// probedFamily joins the attempts of a family in the order they were measured.
func probedFamily(f addrsel.Family, candidates []Candidate) ProbedFamily {
	p := ProbedFamily{Family: f}
	var attempts []*Attempt
	for i := range candidates {
		c := &candidates[i]
		if c.Family() != f || c.Outcome == sched.OutcomeSkipped {
			continue
		}
		p.Addresses++
		connected := false
		for j := range c.Attempts {
			attempts = append(attempts, &c.Attempts[j])
			connected = connected || c.Attempts[j].Outcome == sched.OutcomeConnected
		}
		if connected {
			p.Reachable++
		}
	}
	slices.SortStableFunc(attempts, func(a, b *Attempt) int { return cmp.Compare(a.End, b.End) })
	for _, a := range attempts {
		p.Stats.add(a)
	}
	p.Stats.settle()
	p.Verdict = p.Stats.Verdict()
	return p
}

// Explain says why the verdict is what it is, in a sentence.
func (r *Report) Explain() string {
	connected, tried := 0, 0
	host := 0
	for i := range r.Candidates {
		s := &r.Candidates[i].Stats
		if s.Count > 0 {
			tried++
		}
		if len(s.Samples) > 0 {
			connected++
		}
		host += s.HostFailures
	}
	noun := "addresses"
	if tried == 1 {
		noun = "address"
	}
	text := fmt.Sprintf("%d of %d %s connected", connected, tried, noun)
	switch {
	case r.Verdict == Inconclusive && host > 0:
		text = "nothing is known about the target: every failure is this host's own"
	case r.Verdict == Inconclusive:
		text = "nothing is known about the target: no attempt ran to its end"
	case r.Verdict == Degraded && connected == tried:
		text += ", but not every time"
	case r.Verdict == Reachable:
		text += " every time"
	}
	if host > 0 && r.Verdict != Inconclusive {
		text += fmt.Sprintf("; failures of this host's own (%d) are not counted", host)
	}
	return text
}
