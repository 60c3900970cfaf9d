package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/server"
)

type serveCmd struct {
	Listen                       string        `default:"127.0.0.1:8305" placeholder:"ADDR:PORT" help:"Where to take questions: an address, or unix:PATH for a Unix socket. Default: 127.0.0.1:8305, the port after RFC 8305. Port 0 takes any free one; the log tells which."`
	InsecureAllowUnauthenticated bool          `help:"Listen also where other machines can reach it, although nobody is asked who they are."`
	Vantage                      string        `placeholder:"NAME" help:"Where this daemon stands, such as eu-west-1: repeated in every reply. Default: not said."`
	DNS                          nameServer    `name:"dns" placeholder:"ADDR:PORT" help:"The name server that is asked instead of the system's."`
	LogFormat                    string        `enum:"text,json" default:"text" placeholder:"FORM" help:"text (the default) or json."`
	LogLevel                     slog.Level    `default:"info" placeholder:"LEVEL" help:"debug, info (the default), warn or error."`
	ShutdownTimeout              time.Duration `default:"10s" placeholder:"TIME" help:"How long running calls may take to end after SIGTERM or Ctrl-C. Default: 10s."`
	limitFlags
}

// Help is shown by "connrace serve --help".
func (*serveCmd) Help() string {
	return `Serves connrace.v1.RacerService, health checks and reflection over gRPC without encryption, and logs to stderr; the first line is the configuration in effect. Whoever reaches the daemon can have it connect to any address it reaches itself, so it refuses to listen where other machines can reach it.

Examples:

    connrace serve
    connrace serve --listen 127.0.0.1:9000 --vantage eu-west-1 --log-format json
    connrace serve --listen unix:/run/connrace.sock --caller-in-flight 200

Exit codes: 0 ended by SIGTERM or Ctrl-C, 2 bad usage, 3 it could not listen or serve.`
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, out *output) error {
	if err := checkListen(c.Listen); err != nil {
		return &exitError{exitUsage, fmt.Errorf("--listen %w", err)}
	}
	if err := checkReach(c.Listen); err != nil && !c.InsecureAllowUnauthenticated {
		return &exitError{exitUsage, fmt.Errorf("--listen %w", err)}
	}
	if c.ShutdownTimeout < 0 {
		return usage(fmt.Sprintf("--shutdown-timeout is %v; allowed is 0s or more", c.ShutdownTimeout))
	}
	limits, err := c.limits()
	if err != nil {
		return err
	}
	listener, err := listen(ctx, c.Listen)
	if err != nil {
		return &exitError{exitFailed, fmt.Errorf("cannot listen: %w; give another address with --listen, or stop what has this one", err)}
	}
	log := c.logger(out.stderr)
	c.logConfig(log, listener.Addr(), limits)
	r := racer.New(racer.Config{DNSServer: c.DNS.AddrPort, Limits: limits, Panicked: logPanic(log)})
	defer r.Close()
	srv := server.New(server.Config{
		Racer:   r,
		Version: buildVersion(),
		Vantage: c.Vantage,
		Logger:  log,
	})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	select {
	case err := <-served:
		return &exitError{exitFailed, fmt.Errorf("cannot serve at %s: %w", listener.Addr(), err)}
	case <-ctx.Done():
	}
	c.shutdown(log, srv)
	return <-served
}

// logPanic logs a panic in an attempt's stages.
func logPanic(log *slog.Logger) func(value any, stack []byte) {
	return func(value any, stack []byte) {
		log.Error("panic in an attempt", "value", value, "stack", string(stack))
	}
}

func (c *serveCmd) shutdown(log *slog.Logger, srv *server.Server) {
	log.Info("shutting down", "shutdown_timeout", c.ShutdownTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), c.ShutdownTimeout)
	defer cancel()
	if srv.Shutdown(ctx) {
		log.Warn("the shutdown timeout is over: calls that were still running have been cut off")
	}
	log.Info("shut down")
}

func (c *serveCmd) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// target is an address as --server takes it.
func target(at net.Addr) string {
	if at.Network() == "unix" {
		return unixPrefix + at.String()
	}
	return at.String()
}

// logConfig says what is in effect, with the port the system chose for port 0.
func (c *serveCmd) logConfig(log *slog.Logger, at net.Addr, limits racer.Limits) {
	dns := "system"
	if c.DNS.IsValid() {
		dns = c.DNS.String()
	}
	log.Info("serving",
		"listen", target(at),
		"insecure_allow_unauthenticated", c.InsecureAllowUnauthenticated,
		"vantage", c.Vantage,
		"dns", dns,
		"log_format", c.LogFormat,
		"log_level", c.LogLevel.String(),
		"shutdown_timeout", c.ShutdownTimeout.String(),
		"version", buildVersion(),
		"limits", limitAttrs(limits),
	)
	if at.Network() != "unix" && checkReach(at.String()) != nil {
		log.Warn("other machines can reach this daemon, and nobody is asked who they are", "listen", at.String())
	}
}
