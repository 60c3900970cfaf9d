// Netdialer connects as most Go programs do, with net.Dialer, and prints how long
// that took and where it got to. It is something to run inside a lab:
//
//	connrace lab examples/lab/broken-v6.yaml -- netdialer site.example:80
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	limit := flag.Duration("timeout", 30*time.Second, "how long it may take")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: netdialer [-timeout 30s] NAME:PORT")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	began := time.Now()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", flag.Arg(0))
	took := time.Since(began).Round(time.Millisecond)
	if err != nil {
		fmt.Printf("nothing after %v: %v\n", took, err)
		os.Exit(1) //nolint:gocritic // nothing is left to cancel
	}
	fmt.Printf("connected to %v after %v\n", conn.RemoteAddr(), took)
	_ = conn.Close()
}
