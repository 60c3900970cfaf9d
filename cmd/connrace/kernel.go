package main

import (
	"fmt"
	"strings"
	"time"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// kernelNotes say what the kernel knows that the table does not show: SYNs that were
// sent again, and that it was the daemon that was slow.
func (p *page) kernelNotes(candidates []*pb.Candidate) {
	p.note("syn", repeatWords(candidates), plain)
	p.note("late", noticeWords(candidates), yellow)
}

// shownRepeats is how many addresses a sentence bears.
const shownRepeats = 4

// repeatWords lists the addresses to which a SYN was sent again; empty: none.
func repeatWords(candidates []*pb.Candidate) string {
	var parts []string
	for _, c := range candidates {
		if n := repeats(c); n > 0 {
			parts = append(parts, fmt.Sprintf("%s (%s)", c.GetEndpoint(), times(n)))
		}
	}
	if more := len(parts) - shownRepeats; more > 0 {
		parts = append(parts[:shownRepeats], fmt.Sprintf("and %d more", more))
	}
	if len(parts) == 0 {
		return ""
	}
	return "sent again by the kernel to " + strings.Join(parts, ", ")
}

func repeats(c *pb.Candidate) int {
	n := 0
	for _, a := range c.GetAttempts() {
		n += int(a.GetKernel().GetSynRepeatCount())
	}
	return n
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// lateFrom is how late a daemon may learn of a connection before it is worth a line: a
// busy Go program is that late.
const lateFrom = 5 * time.Millisecond

// noticeWords say how late the daemon was at most; empty: not late.
func noticeWords(candidates []*pb.Candidate) string {
	var worst time.Duration
	for _, c := range candidates {
		for _, a := range c.GetAttempts() {
			worst = max(worst, a.GetNoticeDelay().AsDuration())
		}
	}
	if worst < lateFrom {
		return ""
	}
	return fmt.Sprintf("the daemon learned of a connection %s after its kernel: its host is busy, not the network slow", humanDuration(worst))
}
