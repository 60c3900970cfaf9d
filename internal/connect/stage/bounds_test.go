package stage

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
)

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// Every byte there is, between two that may stand anywhere.
func TestEveryByteOfNamesAndPaths(t *testing.T) {
	const printable = letters + "!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
	for b := range 256 {
		between := fmt.Sprintf("a%ca", b)
		if b > 0x7f {
			between = string([]byte{'a', byte(b), 'a'})
		}
		for _, c := range []struct {
			c       Criterion
			allowed string
		}{
			{Criterion{TLS: &TLS{ServerName: between}}, letters + "-_."},
			{Criterion{HTTP: &HTTP{Host: between}}, letters + "-_."},
			{Criterion{HTTP: &HTTP{Path: "/" + between}}, printable},
			{Criterion{Health: &Health{Service: between}}, printable + " #"},
			{Criterion{TLS: &TLS{ALPN: []string{between}}}, between},
		} {
			if got, want := len(c.c.Check()) == 0, strings.IndexByte(c.allowed, byte(b)) >= 0; got != want {
				t.Errorf("%q is taken: %t, want %t, in %+v %+v %+v", between, got, want, c.c.TLS, c.c.HTTP, c.c.Health)
			}
		}
	}
}

// Ports are decimal numbers.
func TestPortsOfHosts(t *testing.T) {
	for port, taken := range map[string]bool{"1": true, "65535": true, "0": false, "8a": false, "-1": false, "+1": false, "0x1f": false, "1_0": false} {
		c := Criterion{HTTP: &HTTP{Host: "a:" + port}}
		if got := c.Check(); (len(got) == 0) != taken {
			t.Errorf("port %q: %v", port, got)
		}
	}
}

func TestMethods(t *testing.T) {
	for method, taken := range map[string]bool{"": true, "GET": true, "HEAD": true, "Get": false, "POST": false, "HEAD,": false} {
		c := Criterion{HTTP: &HTTP{Method: method}}
		if got := c.Check(); (len(got) == 0) != taken {
			t.Errorf("method %q: %v", method, got)
		}
	}
}

// Of a list that is too long nothing more is said.
func TestTooManyIsSaidOnce(t *testing.T) {
	c := Criterion{TLS: &TLS{ALPN: make([]string, MaxALPN+1)}, HTTP: &HTTP{Statuses: make([]int, MaxStatuses+1)}}
	if got := c.Check(); len(got) != 2 || got[0].Field != "tls.alpn_protocols" || got[1].Field != "http.success_statuses" {
		t.Errorf("wrong are %v", got)
	}
}

// Each bound is allowed itself, and one more is not.
func TestBoundsOfACriterion(t *testing.T) {
	name := func(n int) string { return strings.Repeat(strings.Repeat("a", 63)+".", 4)[:n] }
	for what, c := range map[string]struct {
		of   func(n int) Criterion
		most int
		text string
	}{
		"a name": {func(n int) Criterion { return Criterion{TLS: &TLS{ServerName: name(n)}} }, 253, "has a name of 254 characters"},
		"a name that ends with a dot": {
			func(n int) Criterion { return Criterion{TLS: &TLS{ServerName: name(n) + "."}} }, 253, "has a name of 254 characters",
		},
		"a label":    {func(n int) Criterion { return Criterion{TLS: &TLS{ServerName: "a." + strings.Repeat("a", n)}} }, 63, "allowed is a name"},
		"a protocol": {func(n int) Criterion { return Criterion{TLS: &TLS{ALPN: []string{strings.Repeat("a", n)}}} }, 255, "has 256 bytes"},
		"protocols": {
			func(n int) Criterion { return Criterion{TLS: &TLS{ALPN: strings.Split(strings.Repeat("a", n), "")}} }, 8, "has 9 elements",
		},
		"a path":    {func(n int) Criterion { return Criterion{HTTP: &HTTP{Path: "/" + strings.Repeat("a", n-1)}} }, 2048, "has 2049 bytes"},
		"statuses":  {func(n int) Criterion { return Criterion{HTTP: &HTTP{Statuses: slices.Repeat([]int{200}, n)}} }, 20, "has 21 elements"},
		"a port":    {func(n int) Criterion { return Criterion{HTTP: &HTTP{Host: fmt.Sprintf("a:%d", n)}} }, 65535, "a port of 1 to 65535"},
		"a service": {func(n int) Criterion { return Criterion{Health: &Health{Service: strings.Repeat("a", n)}} }, 256, "has 257 bytes"},
	} {
		at := c.of(c.most)
		if got := at.Check(); len(got) > 0 {
			t.Errorf("%s of %d is not taken: %v", what, c.most, got)
		}
		beyond := c.of(c.most + 1)
		if got := beyond.Check(); len(got) != 1 || !strings.Contains(got[0].Message, c.text) {
			t.Errorf("%s of %d: %v, want %q", what, c.most+1, got, c.text)
		}
	}
	for n, text := range map[int]string{MaxHostLength: "has a name of 262 characters", MaxHostLength + 1: "has 263 characters"} {
		c := Criterion{HTTP: &HTTP{Host: strings.Repeat("a", n)}}
		if got := c.Check(); len(got) != 1 || !strings.Contains(got[0].Message, text) {
			t.Errorf("a host of %d: %v, want %q", n, got, text)
		}
	}
}

// What a peer has said is shown whole up to its bound, and cut there if it is longer.
func TestBoundsOfWhatIsShown(t *testing.T) {
	for what, c := range map[string]struct {
		show func(n int) string // something of n bytes
		most int
	}{
		"an error": {func(n int) string {
			return strings.TrimSuffix(broken(errors.New(strings.Repeat("x", n)), "", "").Text, "; please report this")
		}, 200},
		"a subject": {func(n int) string { return certificates(oneOf(certificateOf(n, 1, 1)))[0].Subject }, 512},
		"an issuer": {func(n int) string { return certificates(oneOf(certificateOf(n, 1, 1)))[0].Issuer }, 512},
		"a name":    {func(n int) string { return certificates(oneOf(certificateOf(10, n, 1)))[0].Names[0] }, 253},
		"a serial":  {func(n int) string { return certificates(oneOf(certificateOf(10, 1, n)))[0].Serial }, 64},
	} {
		whole, cut := c.show(c.most), c.show(c.most+1)
		if len(whole) != c.most || cut != whole+"..." {
			t.Errorf("%s of %d: %q, and of one more: %q", what, c.most, whole, cut)
		}
	}
}

// What is no text takes no more room when it is shown.
func TestWhatIsNoText(t *testing.T) {
	for said, shown := range map[string]string{
		"\xff\xfe": "??", "\xe4\xbd": "??", "\xe4\xbd\xa0": "\xe4\xbd\xa0", "a\x00\x1b": "a??", "\u202e": "?", "\ufffd": "?", "\u00e4\u00e4": "\u00e4?...",
	} {
		if got := printable(said, 3); got != shown {
			t.Errorf("%q is shown as %q, want %q", said, got, shown)
		}
	}
}

// certificateOf has a subject and an issuer, a name and a serial number of those
// lengths.
func certificateOf(subject, name, serial int) *x509.Certificate {
	whom := pkix.Name{CommonName: strings.Repeat("x", subject-len("CN="))}
	number, _ := new(big.Int).SetString(strings.Repeat("f", serial), 16)
	return &x509.Certificate{Subject: whom, Issuer: whom, DNSNames: []string{strings.Repeat("n", name)}, SerialNumber: number}
}

func oneOf(cert *x509.Certificate) []*x509.Certificate { return []*x509.Certificate{cert} }

// The names of a chain have a bound together: the first ones are told.
func TestBoundOfAllNames(t *testing.T) {
	cert := func(names, length int) *x509.Certificate {
		c := certificateOf(10, 1, 1)
		c.DNSNames = slices.Repeat([]string{strings.Repeat("n", length)}, names)
		return c
	}
	for name, c := range map[string]struct {
		chain []*x509.Certificate
		want  []int // names of each
	}{
		"all there is room for": {[]*x509.Certificate{cert(16, 128), cert(16, 128), cert(1, 1)}, []int{16, 16, 0}},
		"one too many":          {[]*x509.Certificate{cert(16, 128), cert(17, 128)}, []int{16, 16}},
		"none after that":       {[]*x509.Certificate{cert(50, 100), cert(1, 1)}, []int{40, 0}},
		"a common one":          {[]*x509.Certificate{cert(100, 30), cert(0, 0)}, []int{100, 0}},
	} {
		for i, got := range certificates(c.chain) {
			if len(got.Names) != c.want[i] {
				t.Errorf("%s: certificate %d has %d names, want %d", name, i, len(got.Names), c.want[i])
			}
		}
	}
}

// A sentence has room for five of a certificate's names, and says how many there are
// beside them.
func TestNamesInASentence(t *testing.T) {
	for names, want := range map[string]string{
		"":            "no name",
		"a":           `"a"`,
		"a b c d e":   `"a", "b", "c", "d", "e"`,
		"a b c d e f": `"a", "b", "c", "d", "e" and 1 more`,
	} {
		cert := &x509.Certificate{DNSNames: strings.Fields(names)}
		if got := namesOf(cert); got != want {
			t.Errorf("names are %s, want %s", got, want)
		}
	}
}
