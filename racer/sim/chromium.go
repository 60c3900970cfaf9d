package sim

import (
	"net/netip"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// Chromium is how Chromium connects by default: TransportConnectJob with the backup
// job of TransportClientSocketPool (net/socket/transport_connect_job.cc at 0647d0d2,
// transport_client_socket_pool.cc at 06111bb6). What is to follow, TcpConnectJob and
// HttpStreamPool, is behind the features HappyEyeballsV2 and V3, which are off
// (net/base/features.cc at 007dfbc7, 2026).
//
// A job waits for all answers, sorted by RFC 6724; on a host without a route for
// IPv6 it does not ask for that. It tries the IPv6 addresses one after the other,
// and beside them the IPv4 ones after 300 ms, or when IPv6 has failed. Unless it is
// done 250 ms after the request, or a multiple of that if DNS takes longer, a backup
// job does the same again, from the first address on. The first job to be done
// decides, even if it has failed. When it has won, the other one goes on, 4 minutes
// at most, and what that connects is kept for later; here it is in vain.
//
// It differs from our scheduler on purpose: within a family only the kernel's
// patience ends an attempt, and the jobs know nothing of each other, so an address
// is tried twice while others are not tried, and two starts can be 0 ms apart.
// Left out: HTTPS records, sockets kept from earlier requests, and the limit of six
// for a host, which two jobs do not reach.
func Chromium() Dialer {
	return Dialer{Name: "Chromium", Dial: func(h *Host) {
		c := &chromium{host: h}
		types := bothTypes
		if !h.Routed(addrsel.FamilyIPv6) {
			types = []sched.RecordType{sched.A}
		}
		lookup(h, types, c.dial)
		h.After(chromiumBackupDelay, c.backUp)
	}}
}

const (
	chromiumHeadStart   = 300 * time.Millisecond // of IPv6: kIPv6FallbackTime
	chromiumBackupDelay = 250 * time.Millisecond // kMaxConnectRetryIntervalMs
	chromiumJobTimeout  = 4 * time.Minute        // DNS included
)

type chromium struct {
	host          *Host
	first, second []netip.Addr
	resolved      bool
	jobs          int // begun: the request's own and the backup
	decided       bool
}

func (c *chromium) dial(addrs []netip.Addr) {
	c.resolved = true
	c.first, c.second = byFamily(addrs)
	if len(c.second) > 0 && addrsel.FamilyOf(c.second[0]) == addrsel.FamilyIPv6 {
		c.first, c.second = c.second, c.first
	}
	c.begin(chromiumJobTimeout - c.host.Now())
}

// backUp begins the second job as soon as it can.
func (c *chromium) backUp() {
	if c.resolved {
		c.begin(chromiumJobTimeout)
		return
	}
	c.host.After(chromiumBackupDelay, c.backUp)
}

// begin begins a job.
func (c *chromium) begin(timeout time.Duration) {
	c.jobs++
	job := &familyRace{host: c.host, headStart: chromiumHeadStart, connected: c.done}
	job.exhausted = func() { c.done(nil) }
	job.begin(c.first, c.second)
	c.host.After(timeout, job.exhausted)
}

// done is told what a job has come to; a nil socket: it has failed. The first one
// that is done decides.
func (c *chromium) done(s *Socket) {
	if c.decided {
		return
	}
	c.decided = true
	if s == nil {
		c.host.Failed()
		return
	}
	if c.jobs > 1 {
		c.host.Linger(chromiumJobTimeout)
	}
	c.host.Won(s)
}
