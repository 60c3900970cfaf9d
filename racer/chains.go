package racer

import (
	"slices"

	"github.com/connrace/connrace/racer/sched"
)

// mostChains is how many chains of certificates a result tells whole. Peers may send what
// they like, each time something else, and 20,000 attempts must fit into a reply.
const mostChains = 1000

// chains are the certificates that a result has told, so that it tells a candidate's
// again only when they have changed. The zero value has told none.
type chains struct {
	latest [][]string // by candidate: the fingerprints of the chain told last
	told   int        // how many were
}

// begin takes in the attempts of a race, or of a probe's first round, and tells of each
// as long as there is room.
func (t *chains) begin(candidates []Candidate) {
	t.latest = make([][]string, len(candidates))
	for i := range candidates {
		for k := range candidates[i].Attempts {
			t.tell(i, &candidates[i].Attempts[k])
		}
	}
}

// thin takes the words of certificates out of a later attempt at a candidate if they are
// those that were told of it last, or if there is no room.
func (t *chains) thin(candidate int, a *Attempt) {
	if slices.Equal(fingerprints(chainOf(a.Stages)), t.latest[candidate]) {
		a.Stages = withoutWords(a.Stages)
		return
	}
	t.tell(candidate, a)
}

func (t *chains) tell(candidate int, a *Attempt) {
	own := chainOf(a.Stages)
	switch {
	case len(own) == 0:
	case t.told == mostChains:
		a.Stages = withoutWords(a.Stages)
	default:
		t.latest[candidate] = fingerprints(own)
		t.told++
	}
}

// thinAll takes the words of certificates out of a transcript: they are in the attempts.
func thinAll(transcript []Entry) []Entry {
	for i := range transcript {
		transcript[i].Event.Stages = withoutWords(transcript[i].Event.Stages)
	}
	return transcript
}

func chainOf(s *sched.Stages) []sched.Certificate {
	if s == nil || s.TLS == nil {
		return nil
	}
	return s.TLS.Certificates
}

func fingerprints(chain []sched.Certificate) []string {
	prints := make([]string, len(chain))
	for i := range chain {
		prints[i] = chain[i].Fingerprint
	}
	return prints
}

// withoutWords returns a copy in which certificates have nothing but dates and
// fingerprints.
func withoutWords(s *sched.Stages) *sched.Stages {
	chain := chainOf(s)
	if len(chain) == 0 {
		return s
	}
	stages, tls := *s, *s.TLS
	tls.Certificates = make([]sched.Certificate, len(chain))
	for i, c := range chain {
		tls.Certificates[i] = sched.Certificate{NotBefore: c.NotBefore, NotAfter: c.NotAfter, Fingerprint: c.Fingerprint}
	}
	stages.TLS = &tls
	return &stages
}
