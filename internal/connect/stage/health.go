package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/connrace/connrace/racer/sched"
)

// Bounds of an answer in bytes: it is a number and some headers.
const (
	maxHealthMessage = 4 << 10
	maxHealthHeader  = 16 << 10
)

// forever is longer than any attempt may last: gRPC wants a limit of its own.
const forever = 24 * time.Hour

// check asks for the health of a service.
func (r *run) check(ctx context.Context) (time.Duration, *sched.Failure) {
	said := &recording{Conn: r.conn}
	lent := &witness{Conn: said}
	client, err := grpc.NewClient("passthrough:///peer", r.dialOptions(lent)...)
	if err != nil {
		return r.now(), &sched.Failure{Type: other, Fault: sched.FaultHost, Text: printable(err.Error(), maxText) + "; please report this"}
	}
	var header, trailer metadata.MD
	answer, err := grpc_health_v1.NewHealthClient(client).Check(ctx,
		&grpc_health_v1.HealthCheckRequest{Service: r.Health.Service}, grpc.Header(&header), grpc.Trailer(&trailer))
	done := r.now()
	if err != nil {
		_ = lent.Close() // there is nobody to say goodbye to
	}
	_ = client.Close()
	if err == nil {
		r.stages.Health = printable(answer.GetStatus().String(), maxText)
		return done, r.Health.judge(answer.GetStatus())
	}
	spoken := len(header.Get("content-type"))+len(trailer.Get("content-type")) > 0
	broke := lent.broken()
	if refused := said.refused(); refused != nil && !spoken {
		return done, refusedHealth(refused)
	}
	return done, r.Health.failure(status.Convert(err), spoken, broke)
}

// dialOptions make a client that has this connection and will have no other.
func (r *run) dialOptions(conn net.Conn) []grpc.DialOption {
	once := make(chan net.Conn, 1)
	once <- conn
	return []grpc.DialOption{
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case c := <-once:
				return c, nil
			default:
				return nil, errGone
			}
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // TLS, if any, is there already
		grpc.WithAuthority(cmp.Or(r.Health.Authority, r.authority(r.peer))),
		grpc.WithUserAgent(userAgent),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: forever}),
		grpc.WithIdleTimeout(0),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableHealthCheck(),
		grpc.WithDisableRetry(),
		grpc.WithMaxHeaderListSize(maxHealthHeader),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxHealthMessage)),
	}
}

// errGone is for a client that dials again.
var errGone = errors.New("the connection has been used up")

// judge says what is wrong with an answer, or nil.
func (h *Health) judge(state grpc_health_v1.HealthCheckResponse_ServingStatus) *sched.Failure {
	switch state {
	case grpc_health_v1.HealthCheckResponse_SERVING:
		return nil
	case grpc_health_v1.HealthCheckResponse_NOT_SERVING:
		return &sched.Failure{
			Type: "grpc_not_serving", Fault: sched.FaultTarget,
			Text: "the server says that " + h.whose() + " is not serving; its own log says why",
		}
	case grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN:
		return h.unknownService()
	case grpc_health_v1.HealthCheckResponse_UNKNOWN:
		return &sched.Failure{
			Type: "grpc_health_unknown", Fault: sched.FaultTarget,
			Text: "the server does not know the state of " + h.whose() + " (yet); see that it sets one",
		}
	default:
		return &sched.Failure{
			Type: "grpc_health_malformed", Fault: sched.FaultTarget,
			Text: fmt.Sprintf("the server says of %s the state %d, which grpc.health.v1 does not have; see who answers there", h.whose(), state),
		}
	}
}

// failure says why there was no answer. spoken says that the status is the server's.
func (h *Health) failure(s *status.Status, spoken bool, broke error) *sched.Failure {
	switch {
	case broke != nil && (!spoken || s.Code() == codes.Unavailable):
		return broken(broke, "before it had answered the health check", "see whether it speaks gRPC on this port, with or without TLS")
	case !spoken:
		what := ""
		if !strings.Contains(s.Message(), errGone.Error()) { // that one is about us
			what = " (" + printable(s.Message(), maxText) + ")"
		}
		return &sched.Failure{
			Type: "grpc_not_spoken", Fault: sched.FaultTarget,
			Text: "the peer does not answer as a gRPC server" + what + "; see whether it speaks gRPC on this port, with or without TLS",
		}
	case s.Code() == codes.NotFound:
		return h.unknownService()
	case s.Code() == codes.Unimplemented:
		return &sched.Failure{
			Type: "grpc_unimplemented", Fault: sched.FaultTarget,
			Text: "the server speaks gRPC and has no service grpc.health.v1; register one there, or be content with TLS",
		}
	default:
		return &sched.Failure{
			Type: "grpc_" + snake(s.Code()), Fault: sched.FaultTarget,
			Text: fmt.Sprintf("the health check of %s ended with %s (%s); the server's own log says why", h.whose(), s.Code(), printable(s.Message(), maxText)),
		}
	}
}

// refusedHealth is a server that speaks HTTP/2 and does not want to answer: one that is
// about to stop, most often.
func refusedHealth(err error) *sched.Failure {
	return &sched.Failure{
		Type: "grpc_refused", Fault: sched.FaultTarget,
		Text: printable(err.Error(), maxText) + " and did not answer the health check; see whether it is shutting down, or else its own log",
	}
}

func (h *Health) unknownService() *sched.Failure {
	return &sched.Failure{
		Type: "grpc_service_unknown", Fault: sched.FaultTarget,
		Text: "the server knows nothing of the health of " + h.whose() + "; ask for a service that it has registered",
	}
}

// whose health was asked for.
func (h *Health) whose() string {
	if h.Service == "" {
		return "the server as a whole"
	}
	return fmt.Sprintf("the service %q", printable(h.Service, maxText))
}

// snake turns a code's name into a word: PermissionDenied is permission_denied.
func snake(code codes.Code) string {
	if code > codes.Unauthenticated {
		return "status_other" // a peer may make codes up
	}
	var word strings.Builder
	for i, c := range code.String() {
		if i > 0 && unicode.IsUpper(c) && code != codes.OK {
			word.WriteByte('_')
		}
		word.WriteRune(unicode.ToLower(c))
	}
	return word.String()
}
