package connect

import (
	"fmt"
	"net/netip"

	"github.com/connrace/connrace/racer/sched"
)

// icmpKind is a type and code of ICMP.
type icmpKind struct{ kind, code uint8 }

// icmpWords4 are those of RFC 792, RFC 1122 section 3.2.2.1 and RFC 1812 section
// 5.2.7.1 that end a handshake, and icmpWords6 those of RFC 4443 section 3. What both
// have has one word.
var icmpWords4 = map[icmpKind]string{
	{3, 0}:  "net_unreachable",
	{3, 1}:  "host_unreachable",
	{3, 2}:  "prot_unreachable",
	{3, 3}:  "port_unreachable",
	{3, 4}:  "packet_too_big",
	{3, 5}:  "source_route_failed",
	{3, 6}:  "net_unknown",
	{3, 7}:  "host_unknown",
	{3, 8}:  "source_isolated",
	{3, 9}:  "net_prohibited",
	{3, 10}: "host_prohibited",
	{3, 11}: "net_tos",
	{3, 12}: "host_tos",
	{3, 13}: "admin_prohibited",
	{3, 14}: "precedence_violation",
	{3, 15}: "precedence_cutoff",
	{11, 0}: "hop_limit_exceeded",
}

var icmpWords6 = map[icmpKind]string{
	{1, 0}: "net_unreachable",
	{1, 1}: "admin_prohibited",
	{1, 2}: "beyond_scope",
	{1, 3}: "host_unreachable",
	{1, 4}: "port_unreachable",
	{1, 5}: "policy_fail",
	{1, 6}: "reject_route",
	{2, 0}: "packet_too_big",
	{3, 0}: "hop_limit_exceeded",
}

// icmpWord is "other" where there is no word.
func icmpWord(kind, code uint8, words map[icmpKind]string) string {
	if word, ok := words[icmpKind{kind, code}]; ok {
		return word
	}
	return "other"
}

// icmpSentence says it in plain words.
type icmpSentence struct {
	says string
	next string // what the reader can do; "its" is of who says it
}

var icmpSentences = map[string]icmpSentence{
	"net_unreachable":      {"it has no route to this network", "give it one, or check the address"},
	"host_unreachable":     {"nobody answers at this address", findHost},
	"prot_unreachable":     {"TCP is not spoken there", "check the address, and the firewall rules there"},
	"port_unreachable":     {"nothing listens on this port, or a firewall wants it to seem so", "start the service there, or " + allowIt},
	"packet_too_big":       {"the packet is too big for the next link", "check the MTU on the way"},
	"source_route_failed":  {"the source route failed", "send without one"},
	"net_unknown":          {"it does not know this network", "give it a route, or check the address"},
	"host_unknown":         {"it does not know the target", findHost},
	"source_isolated":      {"this host is cut off", "check the link of this host, and its routes"},
	"net_prohibited":       {"a rule forbids this network", allowIt},
	"host_prohibited":      {"a rule forbids the target", allowIt},
	"net_tos":              {"it has no route to this network for this DSCP", "send with another one, or give it a route"},
	"host_tos":             {"it has no route to the target for this DSCP", "send with another one, or give it a route"},
	"admin_prohibited":     {"communication is administratively prohibited", allowIt},
	"precedence_violation": {"this DSCP is not permitted", "send with another one"},
	"precedence_cutoff":    {"the DSCP is below what this network takes", "send with a higher one"},
	"beyond_scope":         {"the source address is not valid so far away", "leave from a global address"},
	"policy_fail":          {"a rule forbids this source address", "leave from another address, or " + allowIt},
	"reject_route":         {"the route to it says to reject", "change that route, or check the address"},
	"hop_limit_exceeded":   {"the packet has gone in circles, or too far", "`traceroute` shows where"},
	"other":                {"it cannot deliver the packet", "see its log, or what this type and code mean"},
}

// withICMP is a failure of a connect from one address to another, with what ICMP said
// of it. Who says it is whose trouble it is: a firewall before the target is none of
// the target's.
func withICMP(f sched.Failure, icmp sched.ICMP, from, to netip.Addr) sched.Failure {
	f.ICMP = icmp
	who, sentence := "the router "+icmp.From.String(), icmpSentences[icmp.Word]
	switch {
	case icmp.From == from && icmp.Word == "host_unreachable": // a kernel tells itself so
		f.Text = "the next hop on the way there did not answer this host (ARP or neighbour discovery); see whether it is up"
		return f
	case icmp.From == from:
		who, f.Fault, sentence.next = "a firewall of this host", sched.FaultHost, allowIt
	case icmp.From == to:
		who, f.Fault = "the target itself", sched.FaultTarget
	default:
		f.Fault = sched.FaultPath
	}
	f.Text = fmt.Sprintf("%s says: %s (ICMP type %d code %d); %s", who, sentence.says, icmp.Type, icmp.Code, sentence.next)
	return f
}
