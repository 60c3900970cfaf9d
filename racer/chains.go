package racer

import (
	"slices"

	"github.com/connrace/connrace/racer/sched"
)

// mostChains is how many chains of certificates the later rounds of a probe tell whole.
// Peers may send what they like, each time something else, and 20,000 samples must fit
// into a reply.
const mostChains = 500

// chains are the certificates that a probe has told, so that it tells each once. A zero
// value has told none.
type chains struct {
	latest [][]string // by candidate: the fingerprints of the chain told last
	more   int        // chains of later rounds that were told
}

// begin takes in the first round, which tells all.
func (t *chains) begin(candidates []Candidate) {
	t.latest = make([][]string, len(candidates))
	for i := range candidates {
		for _, a := range candidates[i].Attempts {
			if own := chainOf(a.Stages); len(own) > 0 {
				t.latest[i] = fingerprints(own)
			}
		}
	}
}

// thin returns an attempt of a later round at a candidate, without the words of
// certificates that have been told: their dates and fingerprints stay.
func (t *chains) thin(candidate int, a Attempt) Attempt {
	own := chainOf(a.Stages)
	if len(own) == 0 {
		return a
	}
	prints := fingerprints(own)
	news := !slices.Equal(prints, t.latest[candidate])
	if news && t.more < mostChains {
		t.latest[candidate] = prints
		t.more++
		return a
	}
	a.Stages = withoutWords(a.Stages)
	return a
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
