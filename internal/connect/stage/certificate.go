package stage

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/connrace/connrace/racer/sched"
)

// Bounds of what is told of a peer's certificates, who may send anything.
const (
	maxCertificates = 10      // of a chain, the leaf first
	maxNames        = 100     // of a certificate
	maxName         = 253     // bytes of each
	maxAllNames     = 4 << 10 // bytes of all names of a chain
	maxSubject      = 512     // bytes, of the issuer likewise
	maxSerial       = 64      // digits; RFC 5280 allows 40
)

// certificates are what an operator wants to know of a chain.
func certificates(chain []*x509.Certificate) []sched.Certificate {
	chain = chain[:min(len(chain), maxCertificates)]
	var told []sched.Certificate
	room := maxAllNames
	for _, cert := range chain {
		sum := sha256.Sum256(cert.Raw)
		told = append(told, sched.Certificate{
			Subject:     printable(cert.Subject.String(), maxSubject),
			Issuer:      printable(cert.Issuer.String(), maxSubject),
			Names:       within(names(cert), &room),
			NotBefore:   cert.NotBefore,
			NotAfter:    cert.NotAfter,
			Serial:      printable(cert.SerialNumber.Text(16), maxSerial),
			Fingerprint: hex.EncodeToString(sum[:]),
		})
	}
	return told
}

// within are the first of the names that there is room for, which is less then.
func within(names []string, room *int) []string {
	for i, name := range names {
		if *room < len(name) {
			*room = 0 // the names told are the first ones
			return names[:i]
		}
		*room -= len(name)
	}
	return names
}

// names are the DNS names and addresses that a certificate is for.
func names(cert *x509.Certificate) []string {
	var all []string
	for _, name := range cert.DNSNames[:min(len(cert.DNSNames), maxNames)] {
		all = append(all, printable(name, maxName))
	}
	for _, addr := range cert.IPAddresses[:min(len(cert.IPAddresses), maxNames-len(all))] {
		all = append(all, addr.String())
	}
	return all
}

// namesOf puts a few of a certificate's names into a sentence.
func namesOf(cert *x509.Certificate) string {
	const most = 5
	all := names(cert)
	if len(all) == 0 {
		return "no name"
	}
	var quoted []string
	for _, name := range all[:min(len(all), most)] {
		quoted = append(quoted, strconv.QuoteToASCII(name))
	}
	text := strings.Join(quoted, ", ")
	if total := len(cert.DNSNames) + len(cert.IPAddresses); total > most {
		text += fmt.Sprintf(" and %d more", total-most)
	}
	return text
}
