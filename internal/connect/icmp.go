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

// icmpSentences say it in plain words.
var icmpSentences = map[string]string{
	"net_unreachable":      "it has no route to this network",
	"host_unreachable":     "nobody answers at this address",
	"prot_unreachable":     "TCP is not spoken there",
	"port_unreachable":     "nothing listens on this port, or a firewall wants it to seem so",
	"packet_too_big":       "the packet is too big for the next link",
	"source_route_failed":  "the source route failed",
	"net_unknown":          "it does not know this network",
	"host_unknown":         "it does not know this host",
	"source_isolated":      "this host is cut off",
	"net_prohibited":       "a rule forbids this network",
	"host_prohibited":      "a rule forbids this host",
	"net_tos":              "it has no route to this network for this DSCP",
	"host_tos":             "it has no route to this host for this DSCP",
	"admin_prohibited":     "communication is administratively prohibited",
	"precedence_violation": "this DSCP is not permitted",
	"precedence_cutoff":    "the DSCP is below what this network takes",
	"beyond_scope":         "the source address is not valid so far away",
	"policy_fail":          "a rule forbids this source address",
	"reject_route":         "the route to it says to reject",
	"hop_limit_exceeded":   "the packet has gone in circles, or too far",
}

// withICMP is a failure of a connect from one address to another, with what ICMP said
// of it. Who says it is whose trouble it is: a firewall before the target is none of
// the target's.
func withICMP(f sched.Failure, icmp sched.ICMP, from, to netip.Addr) sched.Failure {
	f.ICMP = icmp
	who := "the router " + icmp.From.String()
	switch {
	case icmp.From == from && icmp.Word == "host_unreachable": // a kernel tells itself so
		f.Text = "the next hop on the way there did not answer this host (ARP or neighbour discovery)"
		return f
	case icmp.From == from:
		who, f.Fault = "a firewall of this host", sched.FaultHost
	case icmp.From == to:
		who, f.Fault = "the target itself", sched.FaultTarget
	default:
		f.Fault = sched.FaultPath
	}
	sentence, ok := icmpSentences[icmp.Word]
	if !ok {
		sentence = "it cannot deliver the packet"
	}
	f.Text = fmt.Sprintf("%s says: %s (ICMP type %d code %d)", who, sentence, icmp.Type, icmp.Code)
	return f
}
