package stage

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"

	"golang.org/x/net/http2"
)

// maxRecorded bounds what a recording keeps, in bytes.
const maxRecorded = 64 << 10

// recording is a connection that keeps the beginning of what is read from it. Who reads
// may go on for a moment after the call has ended.
type recording struct {
	net.Conn

	mu   sync.Mutex
	said []byte
}

// Read keeps what it returns.
func (r *recording) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, b[:min(n, maxRecorded-len(r.said))]...)
	return n, err
}

// refused is how the server has given the call up by HTTP/2, of which gRPC tells only
// in words, if at all: what was refused it asks once more. nil: it has not.
func (r *recording) refused() error {
	r.mu.Lock()
	said := bytes.Clone(r.said)
	r.mu.Unlock()
	frames := http2.NewFramer(io.Discard, bytes.NewReader(said))
	frames.SetMaxReadFrameSize(16 << 10) // else a frame has the room made that its header asks for, and any text is one
	for begun := false; ; begun = true { // what was said is bounded
		frame, err := frames.ReadFrame()
		if err != nil {
			return nil //nolint:nilerr // the rest was not said, or is not HTTP/2
		}
		if _, settings := frame.(*http2.SettingsFrame); !begun && !settings {
			return nil
		}
		_, err = react(frames, frame)
		if refused, ok := errors.AsType[refusedError](err); ok {
			return refused
		}
	}
}
