package netlab_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
)

// httpClient follows no redirects, and keeps connections alive until the test
// ends.
func httpClient(t *testing.T, config *tls.Config) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// get wants that status and body, and returns the header and the protocol.
func get(t *testing.T, client *http.Client, url string, code int, body string) (header http.Header, proto string) {
	t.Helper()
	r, err := client.Get(url)
	must(t, err)
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	must(t, err)
	if r.StatusCode != code || string(got) != body {
		t.Fatalf("GET %s: %d %q, want %d %q", url, r.StatusCode, got, code, body)
	}
	return r.Header, r.Proto
}

// fetch is get when an error is expected.
func fetch(client *http.Client, url string) error {
	r, err := client.Get(url)
	if err == nil {
		r.Body.Close()
	}
	return err
}

func TestHTTPAnswers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long ", 1<<18)
	for _, c := range []struct {
		s    netlab.HTTPServer
		code int
		body string
	}{
		{netlab.HTTPServer{}, 200, ""},
		{netlab.HTTPServer{Body: "alive"}, 200, "alive"},
		{netlab.HTTPServer{Status: 204}, 204, ""},
		{netlab.HTTPServer{Status: 302, Header: http.Header{"location": {"/there"}}}, 302, ""},
		{netlab.HTTPServer{Body: "{}", Header: http.Header{"content-type": {"text/x-lab"}}}, 200, "{}"}, // instead of net/http's own
		{netlab.HTTPServer{Status: 304}, 304, ""},
		{netlab.HTTPServer{Status: 404, Body: "not here"}, 404, "not here"},
		{netlab.HTTPServer{Status: 503, Body: long, Header: http.Header{"Retry-After": {"7"}, "X-Lab": {"a", "b"}}}, 503, long},
		{netlab.HTTPServer{Status: 599}, 599, ""},
	} {
		t.Run(fmt.Sprint(c.code, len(c.body)), func(t *testing.T) {
			t.Parallel()
			h := serving(t, netlab.HTTP(c.s))
			client := httpClient(t, nil)
			for _, path := range []string{"", "/", "/healthz?full", "//a/../b"} {
				header, _ := get(t, client, "http://"+h.Addr().String()+path, c.code, c.body)
				for name, values := range c.s.Header {
					if got := header.Values(name); strings.Join(got, ",") != strings.Join(values, ",") {
						t.Errorf("header %s is %q, want %q", name, got, values)
					}
				}
			}
			r, err := client.Head("http://" + h.Addr().String())
			must(t, err)
			must(t, r.Body.Close())
			if r.StatusCode != c.code {
				t.Errorf("HEAD: %d, want %d", r.StatusCode, c.code)
			}
			counts(t, h, 1, 1) // kept alive
			client.CloseIdleConnections()
			counts(t, h, 1, 0)
		})
	}
}

func TestHTTPWithoutKeepAlive(t *testing.T) {
	t.Parallel()
	h := serving(t, netlab.HTTP(netlab.HTTPServer{Body: "once"}))
	for range 3 {
		c := mustDial(t, h.Addr())
		_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
		must(t, err)
		must(t, c.SetReadDeadline(time.Now().Add(patience)))
		all, err := io.ReadAll(c)
		must(t, err)
		if got := string(all); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "\r\n\r\nonce") {
			t.Errorf("answer is %q", got)
		}
	}
	counts(t, h, 3, 0)
}

// The delay lies before the headers, and again for each request.
func TestHTTPDelay(t *testing.T) {
	t.Parallel()
	const delay = 60 * time.Millisecond
	h := serving(t, netlab.HTTP(netlab.HTTPServer{Delay: delay, Body: "late"}))
	c := mustDial(t, h.Addr())
	answers := bufio.NewReader(c)
	for range 3 {
		began := time.Now()
		_, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 3\r\n\r\nabc")
		must(t, err)
		must(t, c.SetReadDeadline(time.Now().Add(patience)))
		_, err = answers.Peek(1)
		must(t, err)
		if took := time.Since(began); took < delay {
			t.Errorf("first byte after %v, want %v at least", took, delay)
		}
		r, err := http.ReadResponse(answers, nil)
		must(t, err)
		_, err = io.Copy(io.Discard, r.Body)
		must(t, err)
		must(t, r.Body.Close())
	}
}

// A client that leaves ends the wait for its answer, wherever its request is.
func TestHTTPClientLeavesInTheDelay(t *testing.T) {
	t.Parallel()
	h := serving(t, netlab.HTTP(netlab.HTTPServer{Delay: time.Hour}))
	for i, request := range []string{
		"GET / HTTP/1.1\r\nHost: lab\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 3\r\n\r\na",
		"GET / HTTP/1.1\r\nHos",
	} {
		c := mustDial(t, h.Addr())
		_, err := io.WriteString(c, request)
		must(t, err)
		says(t, c, "")
		counts(t, h, i+1, 1)
		must(t, c.Close())
		counts(t, h, i+1, 0)
	}
}

// Over TLS the client has the protocol that was agreed on.
func TestHTTPOverTLS(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	cert := certificate(t, ca, netlab.Valid, "127.0.0.1")
	for _, c := range []struct {
		alpn  []string
		proto string
	}{
		{[]string{"h2", "http/1.1"}, "HTTP/2.0"},
		{[]string{"h2"}, "HTTP/2.0"},
		{[]string{"http/1.1"}, "HTTP/1.1"},
		{nil, "HTTP/1.1"},
	} {
		t.Run(c.proto+" of "+strings.Join(c.alpn, ","), func(t *testing.T) {
			t.Parallel()
			const delay = 60 * time.Millisecond
			h := serving(t, netlab.TLS(netlab.TLSServer{Certificate: cert, ALPN: c.alpn},
				netlab.HTTP(netlab.HTTPServer{Status: 418, Delay: delay, Body: "short and stout"})))
			client := httpClient(t, &tls.Config{RootCAs: ca.Pool()})
			began := time.Now()
			for range 3 {
				_, proto := get(t, client, "https://"+h.Addr().String()+"/x", 418, "short and stout")
				if proto != c.proto {
					t.Errorf("protocol is %s, want %s", proto, c.proto)
				}
			}
			if took := time.Since(began); took < 3*delay {
				t.Errorf("three answers took %v, want %v at least", took, 3*delay)
			}
			counts(t, h, 1, 1)
			client.CloseIdleConnections()
			counts(t, h, 1, 0)
		})
	}
}

// A request that is given up does not end the others on its connection.
func TestHTTP2RequestGivenUp(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	h := serving(t, netlab.TLS(netlab.TLSServer{Certificate: certificate(t, ca, netlab.Valid, "127.0.0.1"), ALPN: []string{"h2"}},
		netlab.HTTP(netlab.HTTPServer{Delay: 200 * time.Millisecond, Body: "late"})))
	client := httpClient(t, &tls.Config{RootCAs: ca.Pool()})
	url := "https://" + h.Addr().String()
	get(t, client, url, 200, "late")
	ctx, leave := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer leave()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	must(t, err)
	answer, err := client.Do(r)
	if err == nil {
		answer.Body.Close()
	}
	mustBe(t, err, context.DeadlineExceeded)
	get(t, client, url, 200, "late")
	counts(t, h, 1, 1)
}
