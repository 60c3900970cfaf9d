// Package link emulates the link between the client and the server host of a
// lab: it carries their frames with the delay, the jitter, the loss and the state
// that are set for each server address, answers for hosts that are down, and
// keeps a log of what began and ended connections.
//
// [Emulator] is all of that without a socket, a clock or a goroutine: frames and
// times come in, frames and times go out.
//
//	e := link.New(link.Config{Seed: 1})
//	err := e.Set(server, link.Path{Delay: 10 * time.Millisecond})
//	e.Arrive(now, link.Client, frame)
//	due, ok := e.Next()                   // now + 10 ms
//	for e.Leave(due, send) {              // calls send(link.Server, frame)
//	}
//	packets, _ := e.Packets(due)          // the SYN, sent and arrived
//
// On Linux, [Start] runs an emulator between two packet sockets, in a process of
// its own so that it keeps its times while the process under test keeps the
// machine busy:
//
//	func main() {
//		link.Main() // does not return in that other process
//		...
//		l, err := link.Start(client, server, link.Config{})
//		err = l.Set(addr, link.Path{State: link.Blackhole})
//		packets, leftOut, err := l.Packets()
//		err = l.Close()
//
// # Rules
//
// Time is a [time.Duration] of the system's monotonic clock (CLOCK_MONOTONIC),
// so that two processes of one machine mean the same by it; [Clock] turns it into
// a [time.Time].
//
// An Emulator belongs to one goroutine. With the same seed, paths, frames and
// times it does the same. No frame makes it panic. The methods of a [Link] may be
// called from several goroutines; whoever starts one owes it a Close. Its process
// ends with the one that started it, however that ends.
package link
