package racer

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// chained is an attempt at a peer that presents certificates.
func chained(fingerprints ...string) Attempt {
	var chain []sched.Certificate
	for _, sum := range fingerprints {
		chain = append(chain, sched.Certificate{
			Subject: "CN=s", Issuer: "CN=i", Names: []string{"n"}, Serial: "1",
			NotBefore: time.Unix(1, 0), NotAfter: time.Unix(2, 0), Fingerprint: sum,
		})
	}
	return Attempt{Stages: &sched.Stages{TLS: &sched.TLS{Version: "TLS 1.3", Certificates: chain}}}
}

// wordsOf says which certificates of an attempt have words, and that all have their dates.
func wordsOf(t *testing.T, a Attempt) string {
	t.Helper()
	var all []string
	for _, c := range chainOf(a.Stages) {
		whole := chainOf(chained(c.Fingerprint).Stages)[0]
		bare := sched.Certificate{NotBefore: time.Unix(1, 0), NotAfter: time.Unix(2, 0), Fingerprint: c.Fingerprint}
		switch {
		case reflect.DeepEqual(c, whole):
			all = append(all, c.Fingerprint+" whole")
		case reflect.DeepEqual(c, bare):
			all = append(all, c.Fingerprint)
		default:
			t.Errorf("a certificate is %+v", c)
		}
	}
	return strings.Join(all, ", ")
}

// A chain is told once for each candidate, and again when it has changed.
func TestChainsAreToldOnce(t *testing.T) {
	var c chains
	c.begin([]Candidate{{Attempts: []Attempt{chained("a", "ca")}}, {Attempts: []Attempt{{}}}, {}})
	for i, round := range []struct {
		candidate int
		chain     []string
		want      string
	}{
		{0, []string{"a", "ca"}, "a, ca"},
		{0, []string{"b", "ca"}, "b whole, ca whole"},
		{0, []string{"b", "ca"}, "b, ca"},
		{0, []string{"b"}, "b whole"},
		{0, nil, ""},
		{0, []string{"b"}, "b"},
		{0, []string{"a", "ca"}, "a whole, ca whole"},
		{1, []string{"a", "ca"}, "a whole, ca whole"},
		{2, []string{"a"}, "a whole"},
		{1, []string{"a", "ca"}, "a, ca"},
	} {
		before := chained(round.chain...)
		after := before
		c.thin(round.candidate, &after)
		if got := wordsOf(t, after); got != round.want {
			t.Errorf("round %d: %q, want %q", i, got, round.want)
		}
		if got := wordsOf(t, before); got != "" && strings.Count(got, "whole") != len(round.chain) {
			t.Errorf("round %d: what the attempt was made from is changed to %q", i, got)
		}
	}
	for _, none := range []Attempt{{}, {Stages: &sched.Stages{}}} {
		got := none
		if c.thin(0, &got); !reflect.DeepEqual(got, none) {
			t.Errorf("an attempt without certificates becomes %+v", got)
		}
	}
}

// A peer that presents something else each time is told a bounded number of times.
func TestChainsThatChange(t *testing.T) {
	var c chains
	c.begin([]Candidate{{Attempts: []Attempt{chained("first")}}})
	whole := 1
	for i := range 2 * mostChains {
		a := chained(fmt.Sprint(i))
		if c.thin(0, &a); strings.HasSuffix(wordsOf(t, a), "whole") {
			whole++
		}
	}
	if whole != mostChains {
		t.Errorf("%d chains are told, want %d", whole, mostChains)
	}
}

// However many addresses a race or a first round has, no more chains are told whole.
func TestChainsOfManyAddresses(t *testing.T) {
	candidates := make([]Candidate, mostChains/2+1)
	for i := range candidates {
		candidates[i].Attempts = []Attempt{chained("same"), chained("same")} // the second is a backup
	}
	new(chains).begin(candidates)
	for i, c := range candidates {
		want := "same whole"
		if i >= mostChains/2 {
			want = "same"
		}
		for k, a := range c.Attempts {
			if got := wordsOf(t, a); got != want {
				t.Fatalf("of attempt %d at address %d is told %q, want %q", k, i, got, want)
			}
		}
	}
}

// A probe says in its first round what a peer's certificates are, and in the others which.
func TestProbeTellsChainsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p := newNetwork(t), newPeers(t)
		n.host(first, talking(5*ms, secure(5*ms, p.good, mute)))
		r, err := n.racer().Probe(t.Context(), ProbeRequest{
			Target: literals(1), Rounds: 3, Interval: 100 * ms, Options: ProbeOptions{Criterion: p.wants()},
		})
		must(t, err)
		attempts := r.Report.Candidates[0].Attempts
		if len(attempts) != 3 {
			t.Fatalf("%d attempts", len(attempts))
		}
		whole := chainOf(attempts[0].Stages)
		if len(whole) == 0 || whole[0].Subject == "" || len(whole[0].Names) == 0 {
			t.Fatalf("the first says %+v", whole)
		}
		for i, a := range attempts[1:] {
			for k, c := range chainOf(a.Stages) {
				if want := (sched.Certificate{NotBefore: whole[k].NotBefore, NotAfter: whole[k].NotAfter, Fingerprint: whole[k].Fingerprint}); !reflect.DeepEqual(c, want) {
					t.Errorf("attempt %d says %+v, want %+v", i+2, c, want)
				}
			}
			if len(chainOf(a.Stages)) != len(whole) || !a.Stages.TLS.Verified {
				t.Errorf("attempt %d says %+v", i+2, a.Stages.TLS)
			}
		}
		for _, e := range r.Transcript {
			for _, c := range chainOf(e.Event.Stages) {
				if len(c.Names) > 0 {
					t.Errorf("the transcript says %+v", c)
				}
			}
		}
	})
}
