package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// unixPrefix begins the address of a Unix socket, as gRPC's targets write it.
const unixPrefix = "unix:"

// listen takes an address or "unix:PATH".
func listen(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	path, unix := strings.CutPrefix(address, unixPrefix)
	if !unix {
		return config.Listen(ctx, "tcp", address)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	return config.Listen(ctx, "unix", path)
}

// removeStale removes the socket of a daemon that is gone, and nothing else.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket", path)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close() // it was only to see that somebody is there
		return fmt.Errorf("%s: another program listens there", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// checkListen refuses what is nothing to listen at. Its error goes on after "--listen".
func checkListen(address string) error {
	if path, unix := strings.CutPrefix(address, unixPrefix); unix {
		return checkPath(path)
	}
	return checkHostPort(address, "ADDR:PORT", 0)
}

// checkHostPort refuses what is no host and port from least on; form is what its flag
// calls them.
func checkHostPort(address, form string, least uint64) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is no %s (%w); write it as in 127.0.0.1:8305 or [::1]:8305, or unix:PATH for a Unix socket", address, form, err)
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number < least {
		return fmt.Errorf("%s has the port %q; allowed is %d to 65535", address, port, least)
	}
	if _, err := netip.ParseAddr(host); err != nil && numeral.MatchString(host) {
		return fmt.Errorf("%s has %q, which is no address; write it as in 127.0.0.1:8305 or [::1]:8305", address, host)
	}
	return nil
}

// numeral is a host that can't be a name: it has a colon, or ends in a number as an IPv4
// address does.
var numeral = regexp.MustCompile(`:|(^|\.)[0-9]+$`)

// checkReach refuses an address that other machines may reach. A name other than
// localhost is refused too: it may mean another address tomorrow. Its error goes on after
// "--listen".
func checkReach(address string) error {
	if strings.HasPrefix(address, unixPrefix) { // whoever may open the file
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err == nil && host == "localhost" { // RFC 6761 section 6.3: loopback only
		return nil
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s can be reached from other machines, and nobody who asks is asked who they are: anyone could have this host connect wherever it can. Listen on 127.0.0.1 or [::1], and let others in through something that authenticates them (ssh, a proxy with mTLS); or give --insecure-allow-unauthenticated if the network keeps strangers out", address)
}

// checkPath refuses what a system would take for no file, or for one that has no name.
func checkPath(path string) error {
	if path == "" || path[0] == '@' {
		return fmt.Errorf("unix:%s has no path; write it as in unix:/run/connrace.sock", path)
	}
	return nil
}
