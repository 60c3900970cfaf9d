package topology

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// Service is an HTTPS or SVCB record (RFC 9460).
type Service struct {
	// Priority 0 is an alias: then Target alone is set. Default 1.
	Priority uint16

	// Target is a name, lower case, without the final dot, or ".": the record's own
	// name. Default ".".
	Target string

	ALPN          []string     // nil: no such parameter; so with all below
	NoDefaultALPN bool         // only with ALPN
	Port          uint16       // 0: no such parameter
	IPv4Hint      []netip.Addr // IPv4
	IPv6Hint      []netip.Addr // IPv6
	ECH           []byte       // the ECHConfigList
	Mandatory     []uint16     // numbers of parameters that a client must know, all of them in the record
}

// Server is an SRV record (RFC 2782).
type Server struct {
	Priority, Weight uint16 // default 0
	Target           string // a name, lower case, without the final dot, or ".": no such service
	Port             uint16 // from 1; 0 with the target "."
}

// paramKeys are the parameters of a service, each at its number (RFC 9460 section
// 14.3.2).
var paramKeys = []string{"mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint"}

func readServices(n node, a *Answer) {
	for _, e := range n.list("write a list of records, such as [{priority: 1, target: ., alpn: [h2]}]; [] is none") {
		a.Services = append(a.Services, readService(e))
	}
}

func readService(n node) Service {
	keys := n.keys(append([]string{"priority", "target"}, paramKeys...)...)
	s := Service{
		Priority:      uint16(keys["priority"].number(0, 65535, 1)),
		Target:        scalar(keys["target"], ".", parseTarget),
		ALPN:          readList(keys["alpn"], "write the protocols: [h2, h3]", parseALPN),
		NoDefaultALPN: keys["no-default-alpn"].flag(),
		Port:          uint16(keys["port"].number(1, 65535, 0)),
		IPv4Hint:      readList(keys["ipv4hint"], "write IPv4 addresses: [198.51.100.1]", parseAddr4),
		IPv6Hint:      readList(keys["ipv6hint"], "write IPv6 addresses: [2001:db8:80::1]", parseAddr6),
		ECH:           scalar(keys["ech"], nil, parseECH),
		Mandatory:     readList(keys["mandatory"], "write the keys a client must know: [alpn]", parseMandatory),
	}
	if !s.NoDefaultALPN {
		delete(keys, "no-default-alpn") // false is as good as left out
	}
	checkService(keys, s)
	if size := s.size(); size > maxData {
		n.problemf("takes about %d bytes; a record has at most %d: leave out some", size, maxData)
	}
	return s
}

// checkService holds what keys say about each other.
func checkService(keys map[string]node, s Service) {
	if s.Priority == 0 { // section 2.4.2
		for _, key := range paramKeys {
			if keys[key].given() {
				keys[key].problemf("stands in an alias, which has no parameters; leave it out, or write a priority from 1 on")
			}
		}
		return
	}
	for _, key := range []string{"alpn", "ipv4hint", "ipv6hint", "mandatory"} { // sections 7.1.1, 7.3 and 8
		if keys[key].isEmptyList() {
			keys[key].problemf("is an empty list; leave it out")
		}
	}
	if s.NoDefaultALPN && !keys["alpn"].given() { // section 7.1.1
		keys["no-default-alpn"].problemf("stands without alpn, so that nothing would be left; write alpn too")
	}
	for i, number := range s.Mandatory { // section 8
		key := paramKeys[number]
		if !keys[key].given() {
			keys["mandatory"].problemf("has %s, which the record lacks; write %s: too", key, key)
		}
		if slices.Contains(s.Mandatory[:i], number) {
			keys["mandatory"].problemf("has %s twice; keep one", key)
		}
	}
}

// parseMandatory reads a key that can be mandatory: any but the list's own.
func parseMandatory(text string) (uint16, error) {
	number := slices.Index(paramKeys, text)
	if number < 1 {
		return 0, errors.New("write one of " + strings.Join(paramKeys[1:], ", "))
	}
	return uint16(number), nil
}

func parseECH(text string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil, errors.New("write the ECHConfigList in base64")
	}
	return b, nil
}

// maxData is the size of a record's data in bytes: RFC 1035 section 3.2.1.
const maxData = 1<<16 - 1

// size is at least that of the record's data on the wire, where a parameter has 4
// bytes before its value: RFC 9460 section 2.2.
func (s Service) size() int {
	const priority, target = 2, maxName + 2
	size := priority + target + 4*len(paramKeys)
	for _, protocol := range s.ALPN {
		size += 1 + len(protocol)
	}
	return size + 2 + 4*len(s.IPv4Hint) + 16*len(s.IPv6Hint) + len(s.ECH) + 2*len(s.Mandatory)
}

func readServers(n node, a *Answer) {
	for _, e := range n.list("write a list of records, such as [{target: site.example, port: 443}]; [] is none") {
		a.Servers = append(a.Servers, readServer(e))
	}
}

func readServer(n node) Server {
	keys := n.keys("priority", "weight", "target", "port")
	s := Server{
		Priority: uint16(keys["priority"].number(0, 65535, 0)),
		Weight:   uint16(keys["weight"].number(0, 65535, 0)),
		Target:   scalar(keys["target"], "", parseTarget),
		Port:     uint16(keys["port"].number(1, 65535, 0)),
	}
	switch {
	case !n.isMapping(): // which keys has said
	case !keys["target"].given():
		n.problemf("has no target; write target: site.example")
	case s.Target == "." && keys["port"].given():
		keys["port"].problemf("stands beside the target ., which means that there is no such service; leave it out")
	case s.Target != "." && !keys["port"].given():
		n.problemf("has no port; write port: 443")
	}
	return s
}
