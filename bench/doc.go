// Bench measures what a connect, a race and a probe cost the process that makes them:
// connrace's engine next to a C program that does nothing else, and next to
// net.Dialer, over loopback and over a lab link. It also measures what they need of
// system calls and memory, what RPCs cost the daemon next to blackbox_exporter and to
// an RPC that does nothing, how well the kernel and the process know a round trip, and
// how long fetches take when an address is dead.
//
//	go run ./bench [-short] [-only PATTERN] [-json FILE] [-profile DIR]
//	go run ./bench -markdown FILE
//
// Besides titles of cases, -only knows pending, probers, rpcs, round trips and fetches.
//
// Every figure comes from a process of its own, whose CPU time the kernel has
// counted, so what servers and the link cost is not in it; fetches are timed by the
// clock. The programs of a row take turns within one run, because a machine is never
// twice the same; compare the rows of one run with each other, never with those of
// another. What is missing on a machine is left out by name.
package main
