package topology

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Name is a DNS name and what the resolver answers for it. A type whose answer is
// nil has no records: the resolver answers NODATA at once. Names that the file
// does not have do not exist: NXDOMAIN.
type Name struct {
	Name string // lower case, without the final dot

	A, AAAA, HTTPS, SVCB, SRV *Answer

	// CNAME makes it an alias of this name, which is lower case, without the final
	// dot; all answers are nil then. "" is no alias.
	CNAME string

	// CNAMETTL is the TTL of the CNAME record, in seconds: [DefaultTTL] by default,
	// 0 without a CNAME.
	CNAMETTL uint32
}

func readNames(n node) []Name {
	const advice = "write names and their records, such as {site.example: {A: [198.51.100.1]}}"
	var names []Name
	lines := make(map[string]int)
	for _, p := range n.pairs(advice) {
		name, err := parseName(p.name)
		if err != nil {
			p.key.problemf("is no name; %v", err)
			continue
		}
		if line, twice := lines[name]; twice {
			p.key.problemf("is the same name as in line %d; keep one of them", line)
			continue
		}
		lines[name] = p.key.line
		names = append(names, readName(name, p.value))
	}
	return names
}

func readName(name string, n node) Name {
	keys := n.keys("CNAME", "A", "AAAA", "HTTPS", "SVCB", "SRV")
	read := Name{
		Name:  name,
		A:     readAnswer(keys["A"], "addresses", readA),
		AAAA:  readAnswer(keys["AAAA"], "addresses", readAAAA),
		HTTPS: readAnswer(keys["HTTPS"], "records", readServices),
		SVCB:  readAnswer(keys["SVCB"], "records", readServices),
		SRV:   readAnswer(keys["SRV"], "records", readServers),
	}
	if alias := keys["CNAME"]; alias.given() {
		read.CNAME, read.CNAMETTL = readAlias(alias)
		if len(keys) > 1 { // RFC 1034 section 3.6.2
			alias.problemf("stands beside other records; a name with a CNAME has nothing else")
		}
	}
	return read
}

// readAlias reads a CNAME record: its target alone, or with a TTL.
func readAlias(n node) (target string, ttl uint32) {
	if !n.isMapping() {
		return scalar(n, "", parseName), DefaultTTL
	}
	keys := n.keys("target", "ttl")
	if !keys["target"].given() {
		n.problemf("has no target; write target: site.example")
	}
	return scalar(keys["target"], "", parseName), readTTL(keys["ttl"])
}

// Limits of a name in its text form, without the final dot: RFC 1035 section
// 2.3.4.
const (
	maxName  = 253
	maxLabel = 63
)

// parseName reads a DNS name: lower case, without the final dot. What it refuses
// beyond the limits are spellings that can't have been meant.
func parseName(text string) (string, error) {
	const advice = "write a DNS name, such as site.example"
	name := strings.TrimSuffix(text, ".")
	if name == "" || strings.Contains(name, " ") {
		return "", errors.New(advice)
	}
	if len(name) > maxName {
		return "", fmt.Errorf("it has %d characters; write at most %d", len(name), maxName)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "", errors.New("this is an address; " + advice)
	}
	for label := range strings.SplitSeq(name, ".") {
		if err := checkLabel(label); err != nil {
			return "", err
		}
	}
	return strings.ToLower(name), nil // all of it is ASCII
}

func checkLabel(label string) error {
	if label == "" {
		return errors.New("it has a part between two dots that is empty; leave out one dot")
	}
	if len(label) > maxLabel {
		return fmt.Errorf("it has a part of %d characters; write at most %d between two dots", len(label), maxLabel)
	}
	for _, r := range label {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_':
		case r == '*':
			return errors.New("the resolver knows no wildcards; write out each name")
		case r >= 0x80:
			return errors.New("write it in its ASCII form (xn--...)")
		default:
			return fmt.Errorf("it has the character %q; write letters, digits, '-' and '_'", r)
		}
	}
	return nil
}

// parseTarget reads a name that may be the root, which means none or the name
// itself.
func parseTarget(text string) (string, error) {
	if text == "." {
		return ".", nil
	}
	name, err := parseName(text)
	if err != nil {
		return "", fmt.Errorf("%w, or a dot alone", err)
	}
	return name, nil
}

// nameCertificates fills in the names of the certificates that have none.
func (t *Topology) nameCertificates() {
	for _, h := range t.Hosts {
		for _, p := range h.Ports {
			if p.TLS != nil && len(p.TLS.Names) == 0 {
				p.TLS.Names = t.certificateNames(h)
			}
		}
	}
}

// certificateNames are all names that a certificate can be made out to, and what
// the host is called without one.
func (t *Topology) certificateNames(h Host) []string {
	var names []string
	for _, n := range t.Names {
		if !strings.Contains(n.Name, "_") { // of a service, not of a host: RFC 8552
			names = append(names, n.Name)
		}
	}
	for _, addr := range h.Addresses {
		names = append(names, addr.String())
	}
	return slices.Clip(names)
}
