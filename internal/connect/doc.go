// Package connect opens the real connections of a race.
//
// Attempts is the seam between a race and the operating system: it starts and
// cancels attempts by number and posts what became of them. It decides nothing. On
// Linux an Engine makes them on raw sockets, all in the goroutine that owns the race;
// elsewhere, and where a sandbox forbids it, Portable makes them with net.Dialer,
// one goroutine an attempt. What follows TCP runs in a goroutine of its
// own for each attempt that gets there, and never blocks the others.
//
// Ownership: a connection belongs to Attempts until Take hands it out. Close cancels,
// waits for every attempt to report, and closes what is left, so that a loser that
// connects in the instant it is cancelled is not leaked. An Engine keeps sockets
// without a connection, and never one that somebody was given.
package connect
