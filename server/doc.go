// Package server is the gRPC side of connrace: it checks and decodes a request,
// calls package racer, and encodes the result.
package server
