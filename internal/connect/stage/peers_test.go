package stage

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"io"
	"math/big"
	"net"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// selfSigned makes a certificate that vouches for itself.
func selfSigned(t testing.TB, name string) tls.Certificate {
	t.Helper()
	return sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}})
}

// sign fills a template in and signs it with its own key.
func sign(t testing.TB, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template.SerialNumber = big.NewInt(0xabc)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// clientsOnly makes a trusted certificate that no server may use: the pool of w gets
// it as a root by itself.
func clientsOnly(t testing.TB, w *world) tls.Certificate {
	t.Helper()
	cert := sign(t, &x509.Certificate{
		DNSNames: []string{"lab.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	w.also = cert.Certificate[0]
	return cert
}

// h2Peer answers the one request of a connection by frames of its own.
func h2Peer(answer func(frames *http2.Framer, header func(fields ...string) []byte)) func(net.Conn) {
	return func(c net.Conn) {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(c, preface); err != nil {
			return
		}
		frames := http2.NewFramer(c, c)
		frames.WriteSettings()
		for {
			frame, err := frames.ReadFrame()
			if err != nil {
				return
			}
			if frame.Header().StreamID != 0 && frame.Header().Flags.Has(http2.FlagHeadersEndStream) {
				break
			}
		}
		var block bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		answer(frames, func(fields ...string) []byte {
			block.Reset()
			for i := 0; i < len(fields); i += 2 {
				encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
			}
			return bytes.Clone(block.Bytes())
		})
		io.Copy(io.Discard, c)
	}
}

// givesUp reads a request and gives it up by a frame, and then goes on in another way.
func givesUp(how func(*http2.Framer), then func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		h2Peer(func(frames *http2.Framer, _ func(...string) []byte) {
			how(frames)
			then(c)
		})(c)
	}
}

func goAway(last uint32, code http2.ErrCode) func(*http2.Framer) {
	return func(frames *http2.Framer) { frames.WriteGoAway(last, code, nil) }
}

func refuse(frames *http2.Framer) { frames.WriteRSTStream(1, http2.ErrCodeRefusedStream) }

// refusing refuses also what is asked again.
func refusing(c net.Conn) {
	frames := http2.NewFramer(c, c)
	for {
		frame, err := frames.ReadFrame()
		if err != nil {
			return
		}
		if frame, ok := frame.(*http2.HeadersFrame); ok {
			frames.WriteRSTStream(frame.StreamID, http2.ErrCodeRefusedStream)
		}
	}
}

func stays(c net.Conn) { io.Copy(io.Discard, c) }

// resets a connection some of which may not have been read yet.
func resets(c net.Conn) {
	c.Read(make([]byte, 1)) // when the peer has what was sent
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// inside does the same in a connection of TLS with h2.
func inside(w *world, do func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		do(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{w.cert}, NextProtos: []string{"h2"}}))
	}
}

// healthSays answers a health check with a number as the state.
func healthSays(t testing.TB, state int) func(net.Conn) {
	message := []byte{0x08, byte(state)}
	body := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	return h2Peer(func(frames *http2.Framer, header func(...string) []byte) {
		frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: header(":status", "200", "content-type", "application/grpc")})
		frames.WriteData(1, false, body)
		frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: header("grpc-status", "0")})
	})
}

// healthEnds answers a health check with a code and no message.
func healthEnds(code int, message string) func(net.Conn) {
	return h2Peer(func(frames *http2.Framer, header func(...string) []byte) {
		frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: header(
			":status", "200", "content-type", "application/grpc", "grpc-status", strconv.Itoa(code), "grpc-message", percent(message))})
	})
}

// percent encodes a message as gRPC does.
func percent(s string) string {
	var out []byte
	for i := range len(s) {
		out = append(out, '%')
		out = append(out, "0123456789ABCDEF"[s[i]>>4], "0123456789ABCDEF"[s[i]&15])
	}
	return string(out)
}

// smallTemplate has nothing in it.
func smallTemplate() *x509.Certificate { return &x509.Certificate{} }
