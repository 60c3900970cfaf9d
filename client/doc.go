// Package client asks a connrace daemon which address to use.
//
//	c, err := client.New("127.0.0.1:8305")
//	if err != nil { ... }
//	defer c.Close()
//	reply, err := c.Race(ctx, &connracev1.RaceRequest{Target: "example.com:443", FailUnlessWon: true})
//	switch {
//	case errors.Is(err, client.ErrNotWon):  // nothing connected
//	case errors.Is(err, client.ErrUnavailable): // no daemon there: connect without its advice
//	case err != nil:
//	}
//	conn, err := net.Dial("tcp", reply.GetWinner().GetEndpoint())
//
// The messages are those of package connracev1. A Client is safe for concurrent
// use; one is enough for a program.
package client
