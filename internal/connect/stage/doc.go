// Package stage carries out what follows TCP in a connection attempt: TLS, and over
// it or without it an HTTP request, a call of grpc.health.v1 or the wait for the first
// byte of the peer.
//
// A Criterion says what must be done; Criterion.Check says what is wrong with one, and
// Criterion.Run does it over a connection.
//
// Ownership: Run owns the connection it is given. It hands back a connection only when
// all went well, and has closed it otherwise. It runs in its caller's goroutine, ends
// soon after its context, and leaves no goroutine behind. It knows no deadlines: those
// are the race's, which cancels.
//
// The peer is not trusted: what is read of it is bounded, and what it sends comes into
// results only in printable characters and not at length.
package stage
