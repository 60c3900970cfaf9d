package stage

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// userAgent is how requests call this program.
const userAgent = "connrace"

// maxHeader bounds what is read for a response, interim ones and HTTP/2's own frames
// included, in bytes.
const maxHeader = 64 << 10

// request sends the request and reads the head of the response; what follows is left
// alone.
func (r *run) request() (time.Duration, *sched.Failure) {
	conn := &witness{Conn: r.conn}
	in := &io.LimitedReader{R: conn, N: maxHeader}
	exchange := r.http1
	if r.stages.TLS != nil && r.stages.TLS.ALPN == http2Protocol {
		exchange = r.http2
	}
	sent := r.now()
	first, answer, err := exchange(conn, in)
	done := r.now()
	switch broke := conn.broken(); {
	case err == nil:
		answer.FirstByte = first - sent
		r.stages.HTTP = &answer
		return done, r.HTTP.judge(answer)
	case broke != nil:
		return done, broken(broke, "before it had answered the HTTP request", "see whether it speaks HTTP on this port, with or without TLS")
	case in.N <= 0:
		return done, malformedHTTP(fmt.Sprintf("its header is longer than %d bytes", maxHeader))
	default:
		return done, httpFailure(err)
	}
}

// judge says what is wrong with an answer, or nil.
func (h *HTTP) judge(answer sched.HTTP) *sched.Failure {
	allowed, good := "200 to 399", answer.Status >= 200 && answer.Status <= 399
	if len(h.Statuses) > 0 {
		allowed, good = listed("%d", h.Statuses), slices.Contains(h.Statuses, answer.Status)
	}
	if good {
		return nil
	}
	status := strconv.Itoa(answer.Status)
	if text := http.StatusText(answer.Status); text != "" {
		status += " (" + text + ")"
	}
	return &sched.Failure{
		Type: strconv.Itoa(answer.Status), Fault: sched.FaultTarget,
		Text: fmt.Sprintf("the server answered %s %s with %s; success is %s: look at its log, or allow this status", h.method(), printable(h.path(), maxText), status, allowed),
	}
}

func (h *HTTP) method() string { return cmp.Or(h.Method, http.MethodGet) }

func (h *HTTP) path() string { return cmp.Or(h.Path, "/") }

// host is whom the request is for.
func (r *run) host() string { return cmp.Or(r.HTTP.Host, r.authority(r.peer)) }

// interim says that another response follows (RFC 9110 section 15.2). 101 is final:
// nobody asked to switch protocols.
func interim(status int) bool {
	return status >= 100 && status <= 199 && status != http.StatusSwitchingProtocols
}

func malformedHTTP(what string) *sched.Failure {
	return &sched.Failure{
		Type: "http_malformed", Fault: sched.FaultTarget,
		Text: "the peer's answer is not HTTP as it should be: " + printable(what, maxText) + "; see whether it speaks HTTP on this port, with or without TLS",
	}
}
