package netlab

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"golang.org/x/net/http/httpguts"
)

// HTTPServer is how an [HTTP] host answers: the same for every method and path.
type HTTPServer struct {
	// Status is 200 to 599; default 200.
	Status int

	// Delay is the time from the end of the request to the start of the answer;
	// default none.
	Delay time.Duration

	// Header is sent along with what net/http sets by itself; default nothing.
	Header http.Header

	// Body follows the header, except after HEAD; default empty.
	Body string
}

// HTTP speaks HTTP/1.1, and inside [TLS] also HTTP/2 if that was agreed on. After
// any other protocol agreed on it closes the connection. Connections are kept
// alive as long as the peer likes.
func HTTP(s HTTPServer) Behaviour {
	if s.Status == 0 {
		s.Status = http.StatusOK
	}
	s.Header = s.Header.Clone()
	return Behaviour{serve: s.serve, err: s.check()}
}

func (s HTTPServer) check() error {
	var mistakes []error
	if s.Status < 200 || s.Status > 599 {
		mistakes = append(mistakes, fmt.Errorf("status %d: must be 200 to 599", s.Status))
	}
	if s.Delay < 0 {
		mistakes = append(mistakes, fmt.Errorf("delay %v: must not be negative", s.Delay))
	}
	if s.Body != "" && (s.Status == http.StatusNoContent || s.Status == http.StatusNotModified) {
		mistakes = append(mistakes, fmt.Errorf("body: status %d has none", s.Status))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Header)) {
		if !httpguts.ValidHeaderFieldName(name) || slices.ContainsFunc(s.Header[name], invalidValue) {
			mistakes = append(mistakes, fmt.Errorf("header %q: a name is letters, digits and hyphens, and a value has no control characters", name))
		}
	}
	return within("HTTP", mistakes...)
}

func invalidValue(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }

// serve has a server of net/http for this connection alone, which ends with it.
// Only the goroutines of single HTTP/2 requests, for which net/http itself does
// not wait, may return a moment later, with nowhere left to answer to.
func (s HTTPServer) serve(ctx context.Context, c net.Conn) {
	done := make(chan struct{})
	server := http.Server{
		Handler:     http.HandlerFunc(s.answer),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    log.New(io.Discard, "", 0), // clients that leave in mid-answer are the point
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(done)
			}
		},
	}
	_ = server.Serve(&single{conn: c, done: done})
}

// answer takes the request whole first: net/http notices that a client has left
// only when there is no more of it to read.
func (s HTTPServer) answer(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
	if !sleep(r.Context(), s.Delay) {
		panic(http.ErrAbortHandler) // a plain return would be a 200
	}
	for name, values := range s.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	w.WriteHeader(s.Status)
	_, _ = io.WriteString(w, s.Body)
}

// sleep reports whether d passed before ctx was done.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
