package stage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/connrace/connrace/racer/sched"
)

// theStream is the one that carries the request: a client's first (RFC 9113 section
// 5.1.1).
const theStream = 1

// http2 asks by HTTP/2 (RFC 9113). first is when the first byte of the answer's frame
// header was read.
func (r *run) http2(out io.Writer, in io.Reader) (first time.Duration, answer sched.HTTP, err error) {
	if _, err := out.Write(r.opening()); err != nil {
		return 0, answer, err
	}
	frames := http2.NewFramer(out, in)
	frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil) // the size that SETTINGS begin with
	frames.MaxHeaderListSize = maxHeader
	frames.SetMaxReadFrameSize(16 << 10) // as long as SETTINGS say nothing else
	for begun := false; ; begun = true { // in is bounded
		header, err := frames.ReadFrameHeader()
		if err != nil {
			return 0, answer, err
		}
		first = r.now()
		frame, err := frames.ReadFrameForHeader(header)
		if err != nil {
			return 0, answer, err
		}
		if _, settings := frame.(*http2.SettingsFrame); !begun && !settings {
			return 0, answer, errPreface
		}
		status, err := react(frames, frame)
		if err != nil {
			return 0, answer, err
		}
		if status != 0 && !interim(status) {
			return first, sched.HTTP{Status: status, Protocol: "HTTP/2.0"}, nil
		}
	}
}

// opening is all that this side says by itself: the preface, its settings and the
// request.
func (r *run) opening() []byte {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	var block, out bytes.Buffer
	fields := hpack.NewEncoder(&block)
	for _, f := range [][2]string{
		{":method", r.HTTP.method()},
		{":scheme", scheme},
		{":authority", r.host()},
		{":path", r.HTTP.path()},
		{"user-agent", userAgent},
		{"accept", "*/*"},
	} {
		_ = fields.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}) // to memory
	}
	out.WriteString(http2.ClientPreface)
	frames := http2.NewFramer(&out, nil)
	_ = frames.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeader},
	)
	_ = frames.WriteHeaders(http2.HeadersFrameParam{
		StreamID: theStream, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true,
	})
	return out.Bytes()
}

var (
	errPreface = errors.New("it does not begin with SETTINGS")
	errNoField = errors.New("there is no header before the body")
	errFields  = errors.New("its header is too long")
	errEnded   = errors.New("it ends with an interim response")
)

// react answers what a frame demands, and returns the status if it brings one.
func react(frames *http2.Framer, frame http2.Frame) (status int, err error) {
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return 0, frames.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return 0, frames.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		if f.LastStreamID < theStream || f.ErrCode != http2.ErrCodeNo {
			return 0, refusedError{"connection", f.ErrCode}
		}
	case *http2.RSTStreamFrame:
		if f.StreamID == theStream {
			return 0, refusedError{"stream", f.ErrCode}
		}
	case *http2.DataFrame:
		if f.StreamID == theStream {
			return 0, errNoField
		}
	case *http2.MetaHeadersFrame:
		if f.StreamID == theStream {
			return statusOf(f)
		}
	}
	return 0, nil
}

// statusOf reads a header (RFC 9113 section 8.3.2).
func statusOf(f *http2.MetaHeadersFrame) (int, error) {
	text := f.PseudoValue("status")
	status, err := strconv.ParseUint(text, 10, 16)
	switch {
	case err != nil || len(text) != 3 || status < 100:
		return 0, statusError(text)
	case f.Truncated:
		return 0, errFields
	case interim(int(status)) && f.StreamEnded():
		return 0, errEnded
	}
	return int(status), nil
}

// refusedError is a server that speaks HTTP/2 and does not want to answer.
type refusedError struct {
	what string // it has given up: "connection" or "stream"
	code http2.ErrCode
}

// Error says so.
func (e refusedError) Error() string {
	return fmt.Sprintf("the server gave the %s up with %s", e.what, e.code)
}

// httpFailure says what an answer that is none means.
func httpFailure(err error) *sched.Failure {
	if refused, ok := errors.AsType[refusedError](err); ok {
		return &sched.Failure{
			Type: "http_refused", Fault: sched.FaultTarget,
			Text: printable(refused.Error(), maxText) + " and did not answer the request; its own log says why",
		}
	}
	return malformedHTTP(err.Error())
}
