// Bench measures what a connect and a race cost the process that makes them:
// connrace's engine next to a C program that does nothing else, and next to
// net.Dialer, over loopback and over a lab link.
//
//	go run ./bench [-short] [-only PATTERN] [-json FILE] [-profile DIR]
//
// Every figure comes from a process of its own, whose CPU time the kernel has
// counted, so what servers and the link cost is not in it. The programs of a row
// take turns within one run, because a machine is never twice the same; compare the
// rows of one run with each other, never with those of another.
package main
