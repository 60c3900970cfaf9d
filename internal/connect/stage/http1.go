package stage

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// http1 asks by HTTP/1.1 (RFC 9112). first is when the first byte of the answer came.
func (r *run) http1(out io.Writer, in io.Reader) (first time.Duration, answer sched.HTTP, err error) {
	_, err = fmt.Fprintf(out, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAccept: */*\r\nConnection: close\r\n\r\n",
		r.HTTP.method(), r.HTTP.path(), r.host(), userAgent)
	if err != nil {
		return 0, answer, err
	}
	buffered := bufio.NewReader(in)
	asked := &http.Request{Method: r.HTTP.method()}
	for { // in is bounded
		if _, err := buffered.Peek(1); err != nil {
			return 0, answer, err
		}
		first = r.now()
		response, err := http.ReadResponse(buffered, asked) //nolint:bodyclose // closing would read the body
		switch {
		case err != nil:
			return 0, answer, err
		case response.ProtoMajor != 1:
			return 0, answer, protocolError(response.Proto)
		case response.StatusCode < 100:
			return 0, answer, statusError(response.Status)
		case interim(response.StatusCode):
		default:
			return first, sched.HTTP{Status: response.StatusCode, Protocol: response.Proto}, nil
		}
	}
}

// protocolError is a version that no answer to a request by HTTP/1.1 has (RFC 9110
// section 6.2).
type protocolError string

// Error says so.
func (e protocolError) Error() string {
	return fmt.Sprintf("it was asked by HTTP/1.1 and answers by %q", string(e))
}

// statusError is a status that HTTP does not have.
type statusError string

// Error says so.
func (e statusError) Error() string { return fmt.Sprintf("there is no status %q", string(e)) }
