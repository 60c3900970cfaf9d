package stage

import (
	"bytes"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/connrace/connrace/internal/netlab"
)

func TestRoots(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	one, two := string(w.PEM()), string(other.PEM())
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}))
	bad := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
	for _, c := range []struct{ what, pem, err string }{
		{"one", one, ""},
		{"two with words", "# my root\n" + one + "\n# theirs\r\n" + two + "\n\n", ""},
		{"400", strings.Repeat(one, 400), ""},
		{"nothing", "", "has no certificate; allowed is PEM"},
		{"words", "hello", "has no certificate"},
		{"garbage after", one + "hello", "goes on after certificate 1"},
		{"half after", one + two[:100], "goes on after certificate 1"},
		{"half before", one[:100] + "\n" + two, "broken before the end of block 1"},
		{"broken before", strings.Replace(one, "M", "*", 1) + two, "broken before the end of block 1"},
		{"a key", one + key, `has in block 2 a "PRIVATE KEY"; allowed are certificates`},
		{"no certificate inside", bad, "has in block 1 a certificate that cannot be read"},
		{"too long", strings.Repeat(" ", MaxRootsLength) + one, "allowed are 262144"},
	} {
		pool, err := RootsFromPEM([]byte(c.pem))
		switch {
		case c.err == "" && (err != nil || pool == nil):
			t.Errorf("%s: %v", c.what, err)
		case c.err != "" && (err == nil || pool != nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %v, want %q", c.what, err, c.err)
		}
	}
	pool, err := RootsFromPEM([]byte(two + one))
	must(t, err)
	if o := attempt(t, &Criterion{TLS: &TLS{Roots: pool}}, serve(t, w.secure(netlab.Read())), "lab.example"); !o.ok {
		t.Errorf("outcome is %+v", o.failure)
	}
}

// The most that is taken.
func TestTooManyRoots(t *testing.T) {
	small := smallRoot(t)
	if _, err := RootsFromPEM(bytes.Repeat(small, MaxRoots)); err != nil {
		t.Errorf("%d roots of %d bytes: %v", MaxRoots, len(small), err)
	}
	if _, err := RootsFromPEM(bytes.Repeat(small, MaxRoots+1)); err == nil || !strings.Contains(err.Error(), "more than 500") {
		t.Errorf("%d roots: %v", MaxRoots+1, err)
	}
}

// smallRoot is a certificate so short that 501 fit.
func smallRoot(t *testing.T) []byte {
	t.Helper()
	cert := sign(t, smallTemplate())
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	if n := len(text) * (MaxRoots + 1); n > MaxRootsLength {
		t.Fatalf("%d roots have %d bytes", MaxRoots+1, n)
	}
	return text
}
