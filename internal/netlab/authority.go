package netlab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Validity says when a certificate holds.
type Validity string

// A certificate holds from yesterday for a month, or it did or will for one day.
const (
	Valid       Validity = "valid"
	Expired     Validity = "expired"       // for two days
	NotYetValid Validity = "not-yet-valid" // for two days more
)

// period is a time seen from now.
type period struct{ from, until time.Duration }

const day = 24 * time.Hour

var validities = map[Validity]period{
	Valid:       {-day, 30 * day},
	Expired:     {-3 * day, -2 * day},
	NotYetValid: {2 * day, 3 * day},
}

// ofAuthority encloses the others: only the server's certificate is ever at
// fault.
var ofAuthority = period{-10 * day, 60 * day}

// Authority is a certificate authority of a lab's own, whom only those trust
// who were given its [Authority.Pool] or [Authority.PEM]. Its key exists in this
// process alone.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority that nobody has seen before.
func NewAuthority() (*Authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("netlab: certificate authority: %w", err)
	}
	template := ofAuthority.template("connrace netlab authority")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	cert, err := sign(template, key, template, key)
	if err != nil {
		return nil, fmt.Errorf("netlab: certificate authority: %w", err)
	}
	return &Authority{cert: cert, key: key}, nil
}

// Certificate makes a server's certificate, with a key of its own, for the given
// names. A name is a host's name, with or without a wildcard, or an IP address;
// there must be one at least.
func (a *Authority) Certificate(v Validity, names ...string) (tls.Certificate, error) {
	cert, err := a.certificate(v, names)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("netlab: certificate for %q: %w", names, err)
	}
	return cert, nil
}

func (a *Authority) certificate(v Validity, names []string) (tls.Certificate, error) {
	holds, ok := validities[v]
	if !ok {
		return tls.Certificate{}, fmt.Errorf("no validity %q; use %s, %s or %s", v, Valid, Expired, NotYetValid)
	}
	if len(names) == 0 || slices.Contains(names, "") {
		return tls.Certificate{}, errors.New("a name is missing; give host names or IP addresses")
	}
	key, err := newKey()
	if err != nil {
		return tls.Certificate{}, err
	}
	template := holds.template("connrace netlab server")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames, template.IPAddresses = split(names)
	leaf, err := sign(template, key, a.cert, a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// PEM returns the authority's certificate in the form that programs take as a
// file: curl by --cacert, Node by NODE_EXTRA_CA_CERTS, Go by SSL_CERT_FILE.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Pool returns a new pool with nothing but the authority's certificate in it.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// template is what every certificate has. The serial number is made up when it
// is signed.
func (p period) template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: now.Add(p.from),
		NotAfter:  now.Add(p.until),
	}
}

// split parts the names of hosts from addresses.
func split(names []string) (hosts []string, ips []net.IP) {
	for _, name := range names {
		if addr, err := netip.ParseAddr(name); err == nil {
			ips = append(ips, addr.AsSlice())
		} else {
			hosts = append(hosts, name)
		}
	}
	return hosts, ips
}

func sign(template *x509.Certificate, key *ecdsa.PrivateKey, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
