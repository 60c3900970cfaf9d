package netlab_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/connrace/connrace/internal/netlab"
)

// Who is given the PEM trusts what who is given the pool trusts.
func TestAuthorityInBothForms(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	block, rest := pem.Decode(ca.PEM())
	if block == nil || block.Type != "CERTIFICATE" || len(rest) != 0 {
		t.Fatalf("PEM is %q", ca.PEM())
	}
	fromPEM := x509.NewCertPool()
	if !fromPEM.AppendCertsFromPEM(ca.PEM()) || !fromPEM.Equal(ca.Pool()) {
		t.Error("PEM and Pool hold different certificates")
	}
	if ca.Pool().Equal(authority(t).Pool()) {
		t.Error("two authorities are the same")
	}
}

func TestAuthorityCertificate(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	one := certificate(t, ca, netlab.Valid, "lab.example", "*.lab.example", "192.0.2.1", "2001:db8::1")
	two := certificate(t, ca, netlab.Valid, "lab.example")
	if key, ok := one.PrivateKey.(*ecdsa.PrivateKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("key is a %T, want ECDSA P-256", one.PrivateKey)
	}
	if one.Leaf.SerialNumber.Cmp(two.Leaf.SerialNumber) == 0 || one.PrivateKey.(*ecdsa.PrivateKey).Equal(two.PrivateKey) {
		t.Error("two certificates share their number or key")
	}
	if got := strings.Join(one.Leaf.DNSNames, " "); got != "lab.example *.lab.example" {
		t.Errorf("host names are %s", got)
	}
	if got := one.Leaf.IPAddresses; len(got) != 2 || got[0].String() != "192.0.2.1" || got[1].String() != "2001:db8::1" {
		t.Errorf("addresses are %v", got)
	}
	if one.Leaf.IsCA {
		t.Error("a server's certificate is an authority's")
	}
}

func TestAuthorityMistakes(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	for _, c := range []struct {
		valid netlab.Validity
		names []string
		says  string
	}{
		{netlab.Valid, nil, "a name is missing"},
		{netlab.Valid, []string{"lab.example", ""}, "a name is missing"},
		{"", []string{"lab.example"}, `no validity ""; use valid, expired or not-yet-valid`},
		{"always", []string{"lab.example"}, `no validity "always"`},
		{netlab.Valid, []string{"läb.example"}, "certificate for"},
	} {
		if _, err := ca.Certificate(c.valid, c.names...); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q for %q: error %v does not say %q", c.valid, c.names, err, c.says)
		}
	}
}
