package netlab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The names of the lab's interfaces.
const (
	clientEnd = "c0" // the client host's interface
	linkLeft  = "c1" // its peer, in the link
	linkRight = "s1"
	serverEnd = "s0" // the server host's interface
)

// wire is the two cables: from the client host to the link, and from there to
// the server host. The link's ends are packet sockets.
type wire struct {
	client, server          netlink.Link // as seen by their own host
	clientSocket, srvSocket *os.File
}

// newWire plugs the calling thread's network and the server's into a link of
// their own.
func newWire(server *namespace) (*wire, error) {
	inner, err := newNamespace()
	if err != nil {
		return nil, err
	}
	defer func() { _ = inner.Close() }() // its packet sockets keep it
	w := new(wire)
	if w.client, err = cable(clientEnd, linkLeft, inner); err != nil {
		return nil, err
	}
	err = server.do(func() (err error) {
		w.server, err = cable(serverEnd, linkRight, inner)
		return err
	})
	if err == nil {
		err = inner.do(w.openSockets)
	}
	if err != nil {
		w.unplug()
		return nil, err
	}
	return w, nil
}

// cable makes a pair of interfaces: outer here, and inner in the link.
func cable(outer, inner string, link *namespace) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = outer
	pair := &netlink.Veth{
		LinkAttrs:     attrs,
		PeerName:      inner,
		PeerNamespace: netlink.NsFd(int(link.file.Fd())),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return nil, fmt.Errorf("add the pair %s-%s: %w", outer, inner, err)
	}
	if err := plainFrames(outer); err != nil {
		return nil, err
	}
	return netlink.LinkByName(outer)
}

// plainFrames has the kernel hand out what a real cable would carry: frames of
// one MTU with their checksums in them, instead of promises to a network card
// that isn't there.
func plainFrames(name string) error {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return fmt.Errorf("ethtool: %w", err)
	}
	defer e.Close()
	off := map[string]bool{
		"tx-checksum-ip-generic":       false,
		"tx-tcp-segmentation":          false,
		"tx-tcp6-segmentation":         false,
		"tx-tcp-ecn-segmentation":      false,
		"tx-udp-segmentation":          false,
		"tx-generic-segmentation":      false,
		"tx-gso-list":                  false,
		"rx-gro":                       false,
		"rx-gro-list":                  false,
		"rx-udp-gro-forwarding":        false,
		"tx-tcp-mangleid-segmentation": false,
	}
	known, err := e.FeatureNames(name)
	if err != nil {
		return fmt.Errorf("features of %s: %w", name, err)
	}
	for feature := range off {
		if _, ok := known[feature]; !ok {
			delete(off, feature)
		}
	}
	if err := e.Change(name, off); err != nil {
		return fmt.Errorf("switch off the offloads of %s: %w", name, err)
	}
	return nil
}

// openSockets runs inside the link.
func (w *wire) openSockets() (err error) {
	if w.clientSocket, err = packetSocket(linkLeft); err != nil {
		return err
	}
	w.srvSocket, err = packetSocket(linkRight)
	return err
}

// packetSocket carries all frames of an interface, but not those it sent itself.
func packetSocket(name string) (*os.File, error) {
	end, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(end); err != nil {
		return nil, fmt.Errorf("switch on %s: %w", name, err)
	}
	// No protocol yet: it would collect frames of every interface until bind.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("packet socket", err)
	}
	file := os.NewFile(uintptr(fd), "packets of "+name)
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		_ = file.Close()
		return nil, os.NewSyscallError("ignore outgoing packets", err)
	}
	all := &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: end.Attrs().Index}
	if err := unix.Bind(fd, all); err != nil {
		_ = file.Close()
		return nil, os.NewSyscallError("bind packet socket", err)
	}
	return file, nil
}

func bigEndian(n uint16) uint16 { return n<<8 | n>>8 }

// unplug takes both cables away. The server's goes with its network.
func (w *wire) unplug() {
	for _, f := range []*os.File{w.clientSocket, w.srvSocket} {
		if f != nil {
			_ = f.Close()
		}
	}
	if w.client != nil {
		_ = netlink.LinkDel(w.client)
	}
}

// attachClient gives the client host its addresses and, for each family it has,
// a default route through the link.
func (w *wire) attachClient(addrs []netip.Prefix) error {
	if err := switchOn(w.client); err != nil {
		return err
	}
	for _, prefix := range addrs {
		if err := addAddress(w.client, prefix); err != nil {
			return err
		}
		via := gateway(prefix)
		if err := neighbour(w.client, via, w.server.Attrs().HardwareAddr); err != nil {
			return err
		}
		route := &netlink.Route{
			LinkIndex: w.client.Attrs().Index,
			Dst:       ipNet(netip.PrefixFrom(unspecified(via), 0)),
			Gw:        via.AsSlice(),
			Flags:     int(netlink.FLAG_ONLINK),
		}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("default route via %v: %w", via, err)
		}
	}
	return nil
}

// attachServer teaches the server host the way back; it runs inside it.
func (w *wire) attachServer(clients []netip.Prefix) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("switch on lo: %w", err)
	}
	if err := switchOn(w.server); err != nil {
		return err
	}
	for _, prefix := range clients {
		client := prefix.Addr()
		if err := neighbour(w.server, client, w.client.Attrs().HardwareAddr); err != nil {
			return err
		}
		route := &netlink.Route{
			LinkIndex: w.server.Attrs().Index,
			Dst:       ipNet(host(client)),
			Scope:     netlink.SCOPE_LINK,
		}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("route to the client %v: %w", client, err)
		}
	}
	return nil
}

// addServer makes addr one of the server host's own; it runs inside it.
func addServer(addr netip.Addr) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	return addAddress(lo, host(addr))
}

// switchOn brings an interface up, without an address of its own: nothing but
// what the lab sends is to be seen.
func switchOn(end netlink.Link) error {
	name := end.Attrs().Name
	const none = 1 // IN6_ADDR_GEN_MODE_NONE: no link-local address
	if err := netlink.LinkSetIP6AddrGenMode(end, none); err != nil && !noIPv6(err) {
		return fmt.Errorf("keep %s without a link-local address: %w", name, err)
	}
	if err := netlink.LinkSetUp(end); err != nil {
		return fmt.Errorf("switch on %s: %w", name, err)
	}
	return awaitCarrier(name)
}

// awaitCarrier returns when an interface may send: the kernel starts its queues in
// its own time, and IPv6 addresses and routes added before are not in use at once.
func awaitCarrier(name string) error {
	const limit = 10 * time.Second
	for deadline := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		end, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		if end.Attrs().OperState == netlink.OperUp {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s has no carrier after %v", name, limit)
		}
	}
}

// addAddress takes an IPv6 address into use at once: duplicate address detection
// would keep it tentative for a second.
func addAddress(end netlink.Link, prefix netip.Prefix) error {
	addr := &netlink.Addr{IPNet: ipNet(prefix)}
	if prefix.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	if err := netlink.AddrAdd(end, addr); err != nil {
		return fmt.Errorf("add %v to %s: %w%s", prefix, end.Attrs().Name, err, adviceIPv6(err))
	}
	return awaitLocal(prefix.Addr())
}

// awaitLocal returns when packets for addr are taken in here. For IPv6 the kernel
// sees to that in the background; until then it answers that there is no route.
func awaitLocal(addr netip.Addr) error {
	const limit = 10 * time.Second
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Microsecond) {
		routes, err := netlink.RouteGet(addr.AsSlice())
		if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%v does not come into use within %v (route %v, %w)", addr, limit, routes, err)
		}
	}
}

// neighbour enters the frame address of a neighbour for good: nobody would
// answer a question for it.
func neighbour(end netlink.Link, addr netip.Addr, mac net.HardwareAddr) error {
	neigh := &netlink.Neigh{
		LinkIndex:    end.Attrs().Index,
		State:        netlink.NUD_PERMANENT,
		IP:           addr.AsSlice(),
		HardwareAddr: mac,
	}
	if err := netlink.NeighSet(neigh); err != nil {
		return fmt.Errorf("neighbour %v of %s: %w", addr, end.Attrs().Name, err)
	}
	return nil
}

func host(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, addr.BitLen()) }

func unspecified(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// noIPv6 reports whether err is the kernel's way to say that it has no IPv6.
func noIPv6(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT)
}

func adviceIPv6(err error) string {
	if noIPv6(err) || errors.Is(err, unix.EACCES) {
		return "; IPv6 is switched off in this kernel (ipv6.disable=1, or net.ipv6.conf.default.disable_ipv6): switch it on"
	}
	return ""
}
