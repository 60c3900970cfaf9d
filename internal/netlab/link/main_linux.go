package link

import (
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// marker is what the link's process is called with.
const marker = "connrace-lab-link"

// What the link's process is started with, beside the standard streams.
const (
	clientSocket = 3 + iota
	serverSocket
	controlSocket
)

// mainCalled holds that a program knows what it may be run again for.
var mainCalled atomic.Bool

// Main is the link's process. Every program that calls [Start] calls Main first
// thing in main, or in TestMain: it returns at once, except in the process that
// Start has started. There it never does.
func Main() {
	mainCalled.Store(true)
	if len(os.Args) == 0 || os.Args[0] != marker {
		return
	}
	// A terminal sends its signals to all processes in it. When the link is to end
	// is the other one's decision, which it tells by closing the control socket.
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM)
	// A collection costs more time than memory is worth here.
	debug.SetGCPercent(1000)
	if err := newRelay(clientSocket, serverSocket, controlSocket).run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
