// Package connect opens the real connections of a race.
//
// Attempts is the seam between a race and the operating system: it starts and
// cancels attempts by number and posts what became of them. It decides nothing.
// Below it stands net.Dialer, one goroutine an attempt.
//
// Ownership: a connection belongs to Attempts until Take hands it out. Close
// cancels, waits for every attempt to report, and closes what is left, so that a
// loser that connects in the instant it is cancelled is not leaked.
package connect
