package netlab

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
)

// TLSServer is who a [TLS] host claims to be.
type TLSServer struct {
	// Certificate is shown to every client, whatever name it asks for.
	// [Authority.Certificate] makes one.
	Certificate tls.Certificate

	// ALPN are the protocols the server speaks, the preferred first: "h2",
	// "http/1.1". A client that offers others only gets the alert
	// no_application_protocol, but one that offers http/1.1 alone gets past a
	// server of h2 alone without an agreement. Default: no protocol is agreed on.
	ALPN []string
}

// TLS does a handshake of TLS 1.2 or 1.3 and then, inside, what the other
// behaviour says. Every handshake is a whole one: there are no session tickets.
// After a failed one it closes its half, when the alert is out, and reads until
// the peer closes the connection.
//
//	Serve(at, TLS(TLSServer{Certificate: cert, ALPN: []string{"h2"}}, Health(health)))
//
// [Hang] and [Reset] do to the TCP connection what they do without TLS.
func TLS(s TLSServer, then Behaviour) Behaviour {
	config := &tls.Config{
		Certificates:           []tls.Certificate{s.Certificate},
		NextProtos:             slices.Clone(s.ALPN),
		SessionTicketsDisabled: true,
	}
	return Behaviour{
		serve: func(ctx context.Context, c net.Conn) { serveTLS(ctx, c, config, then) },
		err:   within("TLS", s.check(), then.err),
	}
}

func (s TLSServer) check() error {
	var mistakes []error
	if len(s.Certificate.Certificate) == 0 || s.Certificate.PrivateKey == nil {
		mistakes = append(mistakes, errors.New("certificate or its key is missing; Authority.Certificate makes both"))
	}
	if slices.ContainsFunc(s.ALPN, func(p string) bool { return p == "" || len(p) > 255 }) {
		mistakes = append(mistakes, errors.New("ALPN: a protocol's name has 1 to 255 bytes"))
	}
	return errors.Join(mistakes...)
}

func serveTLS(ctx context.Context, c net.Conn, config *tls.Config, then Behaviour) {
	inside := tls.Server(c, config)
	if err := inside.HandshakeContext(ctx); err != nil {
		// Closing with something unread would overtake the alert with a RST.
		_ = c.(interface{ CloseWrite() error }).CloseWrite()
		drain(c)
		return
	}
	then.run(ctx, inside)
	_ = inside.Close() // says so to a peer that is still there
}

// StallTLS takes the ClientHello and never answers: the ServerHello stalls. It
// reads until the peer closes the connection, which is all that [Read] does.
func StallTLS() Behaviour { return Read() }

// StallTLSMidway takes the ClientHello and answers with the beginning of a
// ServerHello; the rest never comes. It reads until the peer closes the
// connection. What does not begin as a ClientHello does gets no answer.
func StallTLSMidway() Behaviour {
	return Behaviour{serve: func(_ context.Context, c net.Conn) {
		if readHandshakeRecord(c) == nil {
			_, _ = io.WriteString(c, halfServerHello)
		}
		drain(c)
	}}
}

// halfServerHello is the headers of a record of 122 bytes and of a ServerHello
// of 118 (RFC 8446, 5.1 and 4.1.3: as long as they usually are), its version
// and the first 8 of the 32 random bytes.
const halfServerHello = "\x16\x03\x03\x00\x7a" + "\x02\x00\x00\x76" + "\x03\x03" + "\x5a\x17\xc4\x08\x91\xee\x3d\x62"

// handshakeRecord is the first byte of a record (RFC 8446, 5.1).
const handshakeRecord = 22

var errNoHandshake = errors.New("no TLS handshake")

func readHandshakeRecord(r io.Reader) error {
	var header [5]byte // type, version, length
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return err
	}
	if header[0] != handshakeRecord {
		return errNoHandshake
	}
	_, err := io.CopyN(io.Discard, r, int64(binary.BigEndian.Uint16(header[3:])))
	return err
}
