package stage

import (
	"net/netip"
	"testing"

	"golang.org/x/net/http2"

	"github.com/connrace/connrace/internal/netlab"
)

// answer200 is an answer by HTTP/2.
func answer200(frames *http2.Framer, header func(...string) []byte) {
	frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: header(":status", "200")})
}

// stalled is a peer that stops in the middle: in the phase that begins when the clock
// is asked so often, so many reads are begun, of which the last is in vain.
type stalled struct {
	at     netip.AddrPort
	ask    *Criterion
	asked  int64
	reads  int
	phases string
}

func stalling(t *testing.T, w *world) map[string]stalled {
	states := netlab.NewHealthServer()
	must(t, states.Set("", netlab.HealthHangs))
	silent := serve(t, netlab.Read())
	return map[string]stalled{
		"ServerHello":     {serve(t, netlab.StallTLS()), &Criterion{TLS: w.tls()}, 1, 1, "tls_handshake"},
		"half of it":      {serve(t, netlab.StallTLSMidway()), &Criterion{TLS: w.tls()}, 1, 2, "tls_handshake"},
		"hangs":           {serve(t, netlab.Hang()), &Criterion{TLS: w.tls()}, 1, 1, "tls_handshake"},
		"no answer":       {silent, &Criterion{HTTP: &HTTP{}}, 1, 1, "http_response"},
		"half a header":   {script(t, says("HTTP/1.1 200 OK\r\n")), &Criterion{HTTP: &HTTP{}}, 1, 2, "http_response"},
		"after TLS":       {serve(t, w.secure(netlab.Read())), &Criterion{TLS: w.tls(), HTTP: &HTTP{}}, 3, 1, "tls_handshake http_response"},
		"no SETTINGS":     {silent, &Criterion{Health: &Health{}}, 1, 1, "grpc_health"},
		"no health":       {serve(t, netlab.Health(states)), &Criterion{Health: &Health{}}, 1, 2, "grpc_health"},
		"no byte":         {silent, &Criterion{FirstByte: true}, 1, 1, "first_byte"},
		"h2, no SETTINGS": {serve(t, w.secure(netlab.Read(), "h2")), &Criterion{TLS: w.tls("h2"), HTTP: &HTTP{}}, 3, 1, "tls_handshake http_response"},
	}
}
