package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/racer/sched"
)

// fetcher is one way to fetch. It returns the time to the first byte; every fetch has a
// connection of its own.
type fetcher struct {
	name  string
	fetch func(ctx context.Context, url string) (time.Duration, error)
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func availableFetchers(r *report) []fetcher {
	library := racer.New(racer.Config{})
	all := []fetcher{
		{"racer, defaults", overHTTP(racing(library, racer.Options{}))},
		{"racer, all at once", overHTTP(racing(library, racer.Options{Strategy: sched.AllAtOnce}))},
		{"Go's http.Client", overHTTP(nil)},
	}
	if path, err := exec.LookPath("curl"); err != nil {
		r.leaveOut("curl: it is not installed (Debian: apt-get install curl)")
	} else {
		all = append(all, fetcher{"curl", func(ctx context.Context, url string) (time.Duration, error) { return curl(ctx, path, url) }})
	}
	return append(all, fetcher{"one address after another", overHTTP(oneByOne)})
}

// racing dials as connrace does.
func racing(r *racer.Racer, o racer.Options) dialFunc {
	return func(ctx context.Context, _, address string) (net.Conn, error) {
		conn, _, err := r.Dial(ctx, racer.RaceRequest{Target: racer.Target{Name: address}, Options: o})
		return conn, err
	}
}

// oneByOneTimeout is how long a plain program waits for an address.
const oneByOneTimeout = 5 * time.Second

// oneByOne dials as a plain program does.
func oneByOne(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: oneByOneTimeout}
	var errs []error
	for _, addr := range addrs {
		conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(addr, port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// overHTTP fetches with net/http; without dial as its default client does. No proxy is
// asked, whatever the environment says.
func overHTTP(dial dialFunc) func(context.Context, string) (time.Duration, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy, transport.DisableKeepAlives = nil, true
	if dial != nil {
		transport.DialContext = dial
	}
	web := http.Client{Transport: transport}
	return func(ctx context.Context, url string) (took time.Duration, err error) {
		began := time.Now()
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			GotFirstResponseByte: func() { took = time.Since(began) },
		})
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return 0, err
		}
		reply, err := web.Do(request)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, reply.Body)
		return took, errors.Join(err, reply.Body.Close())
	}
}

// curl measures itself, without its start.
func curl(ctx context.Context, path, url string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, path, "-q", "--silent", "--noproxy", "*", "--output", "/dev/null",
		"--max-time", strconv.FormatFloat(fetchBound.Seconds(), 'f', -1, 64), "--write-out", "%{time_starttransfer}", url)
	out, err := cmd.Output()
	if err != nil {
		return 0, err
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	return time.Duration(seconds * float64(time.Second)), err
}
