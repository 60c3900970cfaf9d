package main

import (
	"fmt"
	"net"
	"net/netip"
)

// checkListen refuses an address that other machines may reach. A name other
// than localhost is refused too: it may mean another address tomorrow. Its error
// goes on after "--listen".
func checkListen(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is no ADDR:PORT (%w); write it as in 127.0.0.1:8305 or [::1]:8305", address, err)
	}
	if host == "localhost" { // RFC 6761 section 6.3: loopback only
		return nil
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s can be reached from other machines, and nobody who asks is asked who they are: anyone could have this host connect wherever it can. Listen on 127.0.0.1 or [::1], and let others in through something that authenticates them (ssh, a proxy with mTLS); or give --insecure-allow-unauthenticated if the network keeps strangers out", address)
}
