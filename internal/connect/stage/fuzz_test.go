package stage

import (
	"io"
	"net"
	"testing"
)

// Whatever a peer sends in whatever stage, a run ends when the peer has, keeps what is
// true of every run, and shows nothing that a terminal would obey.
func FuzzPeer(f *testing.F) {
	for kind := range uint8(6) {
		for _, text := range []string{
			"", "hello", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 103 X\r\n\r\nHTTP/1.1 503 \x1b[2J\r\nA: b\r\n\r\n",
			"\x15\x03\x03\x00\x02\x02\x28", hello10, "\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03",
			"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88",
			"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x07",
		} {
			f.Add(kind, uint8(len(text)/2), []byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, kind, cut uint8, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		near, far := net.Pipe()
		conn := newGate(near, 0)
		go func() {
			go io.Copy(io.Discard, far)
			first := min(int(cut), len(text))
			far.Write(text[:first])
			far.Write(text[first:])
			far.Close()
		}()
		asks := []*Criterion{{TLS: &TLS{}}, {HTTP: &HTTP{}}, {Health: &Health{}}, {FirstByte: true}, {HTTP: &HTTP{Method: "HEAD", Statuses: []int{503}}}}
		if kind %= 6; kind == 5 {
			fuzzHTTP2(t, conn)
			return
		}
		o := over(t.Context(), t, asks[kind], Peer{Name: "lab.example"}, conn)
		if !o.ok && o.failure.Type == "" {
			t.Errorf("it did not end by itself")
		}
		near.Close()
	})
}

// fuzzHTTP2 asks by HTTP/2 without TLS, which only tests can.
func fuzzHTTP2(t *testing.T, conn net.Conn) {
	defer conn.Close()
	var at clock
	r := http2Run(conn, at.now)
	_, failed := r.request()
	if (failed == nil) != (r.stages.HTTP != nil && r.HTTP.judge(*r.stages.HTTP) == nil) {
		t.Errorf("HTTP is %+v with %+v", r.stages.HTTP, failed)
	}
	if failed != nil {
		checkText(t, failed.Text)
	}
}
