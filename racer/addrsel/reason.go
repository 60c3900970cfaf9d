package addrsel

// Reason says why an address stands before the next one. The zero value is
// ReasonLast.
type Reason uint8

const (
	// ReasonLast means that nothing follows.
	ReasonLast Reason = iota
	// ReasonUsable means that it has a source address, the next one has none.
	ReasonUsable
	// ReasonMatchingScope means that only its source has the scope of the destination.
	ReasonMatchingScope
	// ReasonMatchingLabel means that only its source has the label of the destination.
	ReasonMatchingLabel
	// ReasonPrecedence means that the policy table gives it a higher precedence.
	ReasonPrecedence
	// ReasonSmallerScope means that its scope is smaller.
	ReasonSmallerScope
	// ReasonFamily means that it is IPv6 and the next one IPv4. No RFC says so; it makes
	// the order total.
	ReasonFamily
	// ReasonLongestPrefix means that it has the longer prefix in common with its source.
	ReasonLongestPrefix
	// ReasonInputOrder means that nothing else tells them apart.
	ReasonInputOrder
	// ReasonInterleave means that the families alternate.
	ReasonInterleave
	// ReasonPreferredFamily means that the caller prefers a family; without that the next
	// one would come before it.
	ReasonPreferredFamily
	// ReasonProtocol means that the client prefers its protocol. Whoever ranks several
	// groups says so; Rank knows one only.
	ReasonProtocol
	// ReasonService means that its service comes before that of the next. As with
	// ReasonProtocol, Rank does not say it.
	ReasonService
)

type reasonWords struct{ token, rule, text string }

var reasons = []reasonWords{
	ReasonLast:            {"last", "", "nothing follows"},
	ReasonUsable:          {"usable", "RFC 6724 rule 1", "this host has a source address for it and none for the next"},
	ReasonMatchingScope:   {"matching_scope", "RFC 6724 rule 2", "its source address has the same scope, that of the next has not"},
	ReasonMatchingLabel:   {"matching_label", "RFC 6724 rule 5", "its source address has the same label, that of the next has not"},
	ReasonPrecedence:      {"precedence", "RFC 6724 rule 6", "the policy table gives it a higher precedence"},
	ReasonSmallerScope:    {"smaller_scope", "RFC 6724 rule 8", "its scope is smaller"},
	ReasonFamily:          {"family", "total order before RFC 6724 rule 9", "all else is equal, and IPv6 comes before IPv4"},
	ReasonLongestPrefix:   {"longest_prefix", "RFC 6724 rule 9", "it has a longer prefix in common with its source address"},
	ReasonInputOrder:      {"input_order", "RFC 6724 rule 10", "all else is equal, and it came first"},
	ReasonInterleave:      {"interleave", "RFC 8305 section 4", "the address families take turns"},
	ReasonPreferredFamily: {"preferred_family", "caller's preference", "the caller prefers its address family"},
	ReasonProtocol:        {"protocol", "Happy Eyeballs v3 section 5.1", "the client prefers its protocol"},
	ReasonService:         {"service", "RFC 9460 section 2.4.1", "its service has a higher priority, or the luck of the draw among equals"},
}

// String returns a stable word such as "matching_scope".
func (r Reason) String() string { return r.words().token }

// Rule returns where the rule comes from, such as "RFC 6724 rule 2". It is
// empty for ReasonLast.
func (r Reason) Rule() string { return r.words().rule }

// Text returns a short sentence for a person, without a full stop.
func (r Reason) Text() string { return r.words().text }

func (r Reason) words() reasonWords {
	if int(r) >= len(reasons) {
		return reasonWords{token: "?"}
	}
	return reasons[r]
}
