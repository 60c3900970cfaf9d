package server

import (
	"net/netip"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// run encodes what is common to all replies.
func (s *service) run(r *racer.Run, transcript bool) *connracev1.Run {
	m := &connracev1.Run{
		StartTime:     timestamppb.New(r.Start),
		Duration:      durationpb.New(r.Duration),
		DaemonVersion: s.cfg.Version,
		Vantage:       s.cfg.Vantage,
		EndReason:     endReasons[r.End],
		Selection:     selection(r.Selection),
	}
	for _, w := range r.Warnings {
		m.Warnings = append(m.Warnings, &connracev1.Warning{Field: w.Field, Message: w.Message})
	}
	if len(r.Queries) > 0 {
		m.Resolution = &connracev1.Resolution{}
		for i := range r.Queries {
			m.Resolution.Queries = append(m.Resolution.Queries, query(&r.Queries[i]))
		}
	}
	if transcript {
		m.Transcript = encodeTranscript(r.Transcript)
	}
	return m
}

func selection(s racer.Selection) *connracev1.SelectionOptions {
	return &connracev1.SelectionOptions{
		OnlyFamily:              families[s.OnlyFamily],
		PreferredFamily:         families[s.PreferredFamily],
		FirstAddressFamilyCount: int32(s.FirstFamilyCount),
		ResolutionDelay:         durationpb.New(*s.ResolutionDelay),
		MaxAddressesPerAnswer:   int32(s.MaxAddressesPerAnswer),
	}
}

func raceOptions(o racer.Options) *connracev1.RaceOptions {
	m := &connracev1.RaceOptions{
		Strategy:               strategies[o.Strategy],
		Version:                versions[o.Version],
		AttemptDelayMultiplier: o.DelayMultiplier,
		AdaptiveQuantile:       o.Quantile,
		MaxBackupAttempts:      number(*o.MaxBackups),
		Grace:                  durationpb.New(o.Grace),
		AttemptTimeout:         durationpb.New(o.AttemptTimeout),
		Timeout:                durationpb.New(o.Timeout),
		MaxInFlight:            int32(o.MaxInFlight),
		Criterion:              successCriterion(&o.Criterion),
		Source:                 sourceOptions(o.Source),
		CloseWithFin:           o.CloseWithFIN,
	}
	if o.AttemptDelay != nil {
		m.AttemptDelay = durationpb.New(*o.AttemptDelay)
	}
	return m
}

// rankOptions leaves unset what a ranking has no use for, and what 0 does not say.
func rankOptions(o racer.Options) *connracev1.RaceOptions {
	m := raceOptions(o)
	m.Grace = nil
	return m
}

func probeOptions(o racer.ProbeOptions) *connracev1.ProbeOptions {
	return &connracev1.ProbeOptions{
		AttemptTimeout: durationpb.New(o.AttemptTimeout),
		Timeout:        durationpb.New(o.Timeout),
		MaxInFlight:    int32(o.MaxInFlight),
		Criterion:      successCriterion(&o.Criterion),
		Source:         sourceOptions(o.Source),
		CloseWithFin:   o.CloseWithFIN,
	}
}

func query(q *racer.Query) *connracev1.Query {
	m := &connracev1.Query{
		Name:        q.Name,
		Type:        recordTypes[q.Type],
		StartOffset: durationpb.New(q.Start),
		Outcome:     connracev1.QueryOutcome_QUERY_OUTCOME_PENDING,
	}
	if !q.Answered {
		return m
	}
	m.Duration = durationpb.New(q.Duration)
	m.Outcome = queryOutcomes[q.Status]
	for _, a := range q.Addrs {
		m.Addresses = append(m.Addresses, a.String())
	}
	if q.Status != sched.Positive {
		m.Failure = failure(q.Failure)
	}
	return m
}

func candidates(cs []racer.Candidate) []*connracev1.Candidate {
	ms := make([]*connracev1.Candidate, len(cs))
	for i := range cs {
		ms[i] = candidate(&cs[i])
	}
	return ms
}

func candidate(c *racer.Candidate) *connracev1.Candidate {
	m := new(connracev1.Candidate)
	m.Position = int32(c.Position)
	m.Endpoint = c.Endpoint.String()
	m.Address = c.Endpoint.Addr().String()
	m.Port = int32(c.Endpoint.Port())
	m.Family = families[c.Family()]
	m.Origin = origins[c.Origin]
	m.Name = c.Name
	m.Label = c.Label
	m.Index = index(c.Index)
	m.Outcome = outcomes[c.Outcome]
	m.SkipReason = skipReasons[c.Skip]
	m.RankReason = rankReasons[c.Reason]
	m.RankExplanation = explanations[c.Reason]
	if c.Source.IsValid() {
		m.SourceAddress = c.Source.String()
	}
	if n := len(c.Attempts); n > 0 {
		m.Attempts = make([]*connracev1.Attempt, n)
	}
	for i := range c.Attempts {
		m.Attempts[i] = attempt(&c.Attempts[i])
	}
	if c.IfFirst != nil {
		m.IfFirstDifference = durationpb.New(*c.IfFirst)
	}
	return m
}

// index is unset for a candidate of a named target.
func index(i int) *int32 {
	if i < 0 {
		return nil
	}
	v := int32(i)
	return &v
}

// explanations are the sentences for the reasons of a position.
var explanations = func() map[addrsel.Reason]string {
	all := make(map[addrsel.Reason]string, len(rankReasons))
	for r := range rankReasons {
		if r != addrsel.ReasonLast {
			all[r] = r.Text() + " (" + r.Rule() + ")"
		}
	}
	return all
}()

// written is the message of an attempt with what nearly every one has in it: one piece
// of memory instead of a dozen.
type written struct {
	attempt connracev1.Attempt
	kernel  connracev1.KernelFacts
	tcp     connracev1.Phase
	phases  [1]*connracev1.Phase

	start, end, delay, notice, rtt, deviation, tcpStart, tcpDuration durationpb.Duration
}

// put sets a duration that is part of something larger.
func put(d *durationpb.Duration, v time.Duration) *durationpb.Duration {
	d.Seconds, d.Nanos = int64(v/time.Second), int32(v%time.Second)
	return d
}

func attempt(a *racer.Attempt) *connracev1.Attempt {
	w := new(written)
	m := &w.attempt
	m.Number = int32(a.Number)
	m.Trigger = triggers[a.Trigger]
	m.DelayBasis = bases[a.Basis]
	m.EndOffset = put(&w.end, a.End)
	m.LocalEndpoint = endpoint(a.Local)
	m.Outcome = outcomes[a.Outcome]
	m.Phases = w.phasesOf(a)
	m.Kernel = w.kernelOf(&a.Kernel)
	if a.Basis != sched.BasisNone { // else the strategy knows no delay
		m.AttemptDelay = put(&w.delay, a.Delay)
	}
	if a.Begun {
		m.StartOffset = put(&w.start, a.Start)
	}
	if a.Noticed > 0 {
		m.NoticeDelay = put(&w.notice, a.NoticeDelay())
	}
	if a.Failure != (sched.Failure{}) {
		m.Failure = failure(a.Failure)
	}
	if d := a.Deferral; d != nil {
		m.Deferral = &connracev1.Deferral{
			StartOffset: durationpb.New(d.Start), Duration: durationpb.New(d.Duration), Reason: deferReasons[d.Reason],
		}
	}
	stages(m, a.Stages)
	return m
}

// kernelOf is unset where the operating system tells nothing.
func (w *written) kernelOf(k *sched.Kernel) *connracev1.KernelFacts {
	if *k == (sched.Kernel{}) {
		return nil
	}
	m := &w.kernel
	m.SynRepeatCount = int32(k.SYNRepeats)
	m.Mss = int32(k.MSS)
	m.Timestamps = k.Timestamps
	m.Sack = k.SACK
	m.WindowScaling = k.WindowScale
	m.Ecn = k.ECN
	if k.RTT > 0 {
		m.Rtt, m.RttDeviation = put(&w.rtt, k.RTT), put(&w.deviation, k.Deviation)
	}
	return m
}

// attemptDelay is unset where the strategy knows none.
func attemptDelay(d time.Duration, b sched.Basis) *durationpb.Duration {
	if b == sched.BasisNone {
		return nil
	}
	return durationpb.New(d)
}

func failure(f sched.Failure) *connracev1.Failure {
	m := &connracev1.Failure{ErrorType: f.Type, Errno: f.Errno, Message: f.Text, Fault: faults[f.Fault]}
	if f.ICMP.From.IsValid() {
		m.Icmp = &connracev1.IcmpFacts{
			Type: int32(f.ICMP.Type), Code: int32(f.ICMP.Code), Word: f.ICMP.Word, SenderAddress: f.ICMP.From.String(),
		}
	}
	return m
}

// endpoint is empty when it is not known.
func endpoint(ap netip.AddrPort) string {
	if !ap.IsValid() {
		return ""
	}
	return ap.String()
}

func winner(c *racer.Candidate) *connracev1.Winner {
	if c == nil {
		return nil
	}
	a := c.Won()
	return &connracev1.Winner{
		Position:        int32(c.Position),
		Endpoint:        c.Endpoint.String(),
		Address:         c.Endpoint.Addr().String(),
		Port:            int32(c.Endpoint.Port()),
		Family:          families[c.Family()],
		Label:           c.Label,
		Index:           index(c.Index),
		LocalEndpoint:   endpoint(a.Local),
		WinOffset:       durationpb.New(a.End),
		ConnectDuration: durationpb.New(a.Duration()),
		AttemptNumber:   int32(a.Number),
	}
}

func cost(c racer.Cost) *connracev1.Cost {
	return &connracev1.Cost{
		AttemptCount:   int32(c.Attempts),
		ConnectedCount: int32(c.Connected),
		DroppedCount:   int32(c.Dropped),
		BackupCount:    int32(c.Backups),
	}
}

// sharing is unset for a race that was not to be shared.
func sharing(s *racer.Sharing) *connracev1.Sharing {
	if s == nil {
		return nil
	}
	return &connracev1.Sharing{JoinOffset: durationpb.New(s.Joined), CallerCount: int32(s.Callers)}
}

func masked(r *racer.RaceResult) *connracev1.Masked {
	if len(r.Masked.Addresses) == 0 {
		return nil
	}
	m := &connracev1.Masked{Summary: r.Masked.Summary(r.Winner)}
	for _, f := range r.Masked.Families {
		m.Families = append(m.Families, families[f])
	}
	for i := range r.Masked.Addresses {
		a := &r.Masked.Addresses[i]
		address := &connracev1.MaskedAddress{
			Position: int32(a.Position),
			Endpoint: a.Endpoint.String(),
			Family:   families[addrsel.FamilyOf(a.Endpoint.Addr())],
			Outcome:  outcomes[a.Outcome],
			Phase:    phaseKinds[a.Phase],
			Duration: durationpb.New(a.Duration),
		}
		if a.Failure != (sched.Failure{}) {
			address.Failure = failure(a.Failure)
		}
		m.Addresses = append(m.Addresses, address)
	}
	return m
}

func schedule(starts []racer.ScheduledStart) []*connracev1.ScheduledStart {
	ms := make([]*connracev1.ScheduledStart, len(starts))
	for i, st := range starts {
		ms[i] = &connracev1.ScheduledStart{
			Position:     int32(st.Position),
			Endpoint:     st.Endpoint.String(),
			StartOffset:  durationpb.New(st.Start),
			Trigger:      triggers[st.Trigger],
			AttemptDelay: attemptDelay(st.Delay, st.Basis),
			DelayBasis:   bases[st.Basis],
		}
	}
	return ms
}

func report(r *racer.Report) *connracev1.ProbeReport {
	m := &connracev1.ProbeReport{Verdict: verdicts[r.Verdict], VerdictExplanation: r.Explain()}
	for i := range r.Candidates {
		c := &r.Candidates[i]
		m.Candidates = append(m.Candidates, &connracev1.ProbedCandidate{
			MeasuredPosition: int32(i + 1),
			Candidate:        candidate(&c.Candidate),
			Stats:            stats(&c.Stats),
		})
	}
	for i := range r.Families {
		f := &r.Families[i]
		m.Families = append(m.Families, &connracev1.ProbedFamily{
			Family:         families[f.Family],
			Verdict:        verdicts[f.Verdict],
			AddressCount:   int32(f.Addresses),
			ReachableCount: int32(f.Reachable),
			Stats:          stats(&f.Stats),
		})
	}
	return m
}

func stats(s *racer.Stats) *connracev1.ConnectStats {
	m := &connracev1.ConnectStats{
		Count:            int32(s.Count),
		FailureCount:     int32(s.Failures),
		HostFailureCount: int32(s.HostFailures),
	}
	for _, k := range s.Kinds {
		m.Failures = append(m.Failures, &connracev1.FailureCount{
			ErrorType: k.Type, Errno: k.Errno, Fault: faults[k.Fault], Count: int32(k.Count),
		})
	}
	if len(s.Samples) == 0 {
		return m
	}
	q := durations(s.Quantiles(0, 0.5, 0.9, 1))
	m.Min, m.Median, m.P90, m.Max = q[0], q[1], q[2], q[3]
	m.Last = durationpb.New(s.Samples[len(s.Samples)-1])
	m.Samples = durations(s.Samples)
	return m
}

// durations encodes many in one piece of memory.
func durations(ds []time.Duration) []*durationpb.Duration {
	all, ms := make([]durationpb.Duration, len(ds)), make([]*durationpb.Duration, len(ds))
	for i, d := range ds {
		ms[i] = put(&all[i], d)
	}
	return ms
}
