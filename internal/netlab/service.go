package netlab

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/net/dns/dnsmessage"
)

// Service is one record of an HTTPS or SVCB answer (RFC 9460). The fields make
// records that are consistent in themselves; one that is not is made with Params.
//
// An answer has these records and nothing else: no addresses of the target go
// along, and an alias (Priority 0) is not followed. That is the client's part.
type Service struct {
	Priority uint16 // 0 is AliasMode: the target has the record; lower is tried first
	Target   string // "" and "." are the owner of the record itself

	// The parameters. A zero field is left out of the record. On the wire they are
	// in ascending order of their keys, and a record in AliasMode may have some:
	// clients must ignore them.
	Mandatory     []uint16     // key 0: the keys a client must know, all in this record; sent in ascending order
	ALPN          []string     // key 1: protocols, each 1 to 255 bytes
	NoDefaultALPN bool         // key 2: goes with ALPN
	Port          uint16       // key 3
	IPv4Hint      []netip.Addr // key 4
	ECH           []byte       // key 5
	IPv6Hint      []netip.Addr // key 6

	// Params are any other parameters: key number and value, as they are. A key of
	// the fields above may stand here when its field is zero.
	Params map[uint16][]byte
}

// The keys of RFC 9460 section 14.3.2.
const (
	keyMandatory     = uint16(dnsmessage.SVCParamMandatory)
	keyALPN          = uint16(dnsmessage.SVCParamALPN)
	keyNoDefaultALPN = uint16(dnsmessage.SVCParamNoDefaultALPN)
	keyPort          = uint16(dnsmessage.SVCParamPort)
	keyIPv4Hint      = uint16(dnsmessage.SVCParamIPv4Hint)
	keyECH           = uint16(dnsmessage.SVCParamECH)
	keyIPv6Hint      = uint16(dnsmessage.SVCParamIPv6Hint)
)

// maxALPN is the longest protocol: its length is one byte.
const maxALPN = 255

// check returns all that is wrong with the fields of the service at where.
func (s Service) check(where string) (problems []error) {
	if err := checkName(where+".Target", s.Target); err != nil {
		problems = append(problems, err)
	}
	problems = append(problems, s.checkMandatory(where)...)
	for _, id := range s.ALPN {
		if len(id) == 0 || len(id) > maxALPN {
			problems = append(problems, fmt.Errorf("%s.ALPN has %q of %d bytes: use 1 to %d", where, id, len(id), maxALPN))
		}
	}
	if s.NoDefaultALPN && len(s.ALPN) == 0 {
		problems = append(problems, fmt.Errorf("%s.NoDefaultALPN without ALPN leaves no protocol: add ALPN, or use Params[%d]", where, keyNoDefaultALPN))
	}
	for _, addr := range s.IPv4Hint {
		if !addr.Is4() {
			problems = append(problems, fmt.Errorf("%s.IPv4Hint can't hold %v: put IPv6 addresses into IPv6Hint", where, addr))
		}
	}
	for _, addr := range s.IPv6Hint {
		if !addr.Is6() || addr.Zone() != "" {
			problems = append(problems, fmt.Errorf("%s.IPv6Hint can't hold %v: put IPv4 addresses into IPv4Hint, and drop zones", where, addr))
		}
	}
	fields := s.fields()
	for _, key := range slices.Sorted(maps.Keys(s.Params)) {
		if _, both := fields[key]; both {
			problems = append(problems, fmt.Errorf("%s.Params[%d] is set by a field too: use one of them", where, key))
		}
	}
	return problems
}

// checkMandatory holds the list against RFC 9460 section 8: each key once, in
// the record, and not the list's own.
func (s Service) checkMandatory(where string) (problems []error) {
	fields := s.fields()
	for i, key := range s.Mandatory {
		_, field := fields[key]
		_, param := s.Params[key]
		switch {
		case key == keyMandatory:
			problems = append(problems, fmt.Errorf("%s.Mandatory can't hold %d, its own key: use others, or Params[%d] for a wrong list", where, key, keyMandatory))
		case slices.Contains(s.Mandatory[:i], key):
			problems = append(problems, fmt.Errorf("%s.Mandatory has %d twice: use it once, or Params[%d] for a wrong list", where, key, keyMandatory))
		case !field && !param:
			problems = append(problems, fmt.Errorf("%s.Mandatory has %d, which the record lacks: add it, or use Params[%d] for a wrong list", where, key, keyMandatory))
		}
	}
	return problems
}

// body is the record of a service that has passed its check.
func (s Service) body(kind dnsmessage.Type) dnsmessage.ResourceBody {
	r := dnsmessage.SVCBResource{Priority: s.Priority, Target: fullName(s.Target)}
	for key, value := range s.fields() {
		r.SetParam(dnsmessage.SVCParamKey(key), value)
	}
	for key, value := range s.Params {
		r.SetParam(dnsmessage.SVCParamKey(key), bytes.Clone(value))
	}
	if kind == dnsmessage.TypeHTTPS {
		return &dnsmessage.HTTPSResource{SVCBResource: r}
	}
	return &r
}

// fields are the values of the fields that are set, by key (RFC 9460 section 7).
func (s Service) fields() map[uint16][]byte {
	values := make(map[uint16][]byte)
	if len(s.Mandatory) > 0 {
		for _, key := range slices.Sorted(slices.Values(s.Mandatory)) {
			values[keyMandatory] = binary.BigEndian.AppendUint16(values[keyMandatory], key)
		}
	}
	for _, id := range s.ALPN {
		values[keyALPN] = append(append(values[keyALPN], byte(len(id))), id...)
	}
	if s.NoDefaultALPN {
		values[keyNoDefaultALPN] = nil
	}
	if s.Port != 0 {
		values[keyPort] = binary.BigEndian.AppendUint16(nil, s.Port)
	}
	for _, addr := range s.IPv4Hint {
		values[keyIPv4Hint] = append(values[keyIPv4Hint], addr.AsSlice()...)
	}
	if len(s.ECH) > 0 {
		values[keyECH] = bytes.Clone(s.ECH)
	}
	for _, addr := range s.IPv6Hint {
		values[keyIPv6Hint] = append(values[keyIPv6Hint], addr.AsSlice()...)
	}
	return values
}
