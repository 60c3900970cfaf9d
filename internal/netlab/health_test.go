package netlab_test

import (
	"context"
	"crypto/tls"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/connrace/connrace/internal/netlab"
)

// healthClient has one connection, which ends with the test; nil is no TLS.
func healthClient(t *testing.T, to netip.AddrPort, config *tls.Config) healthpb.HealthClient {
	t.Helper()
	creds := insecure.NewCredentials()
	if config != nil {
		creds = credentials.NewTLS(config)
	}
	c, err := grpc.NewClient("passthrough:///"+to.String(), grpc.WithTransportCredentials(creds))
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return healthpb.NewHealthClient(c)
}

func check(t *testing.T, client healthpb.HealthClient, service string, limit time.Duration) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	r, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: service})
	return r.GetStatus().String(), err
}

func healthServer(t *testing.T, service string, state netlab.HealthState) *netlab.HealthServer {
	t.Helper()
	s := netlab.NewHealthServer()
	must(t, s.Set(service, state))
	return s
}

var healthStates = []struct {
	state   netlab.HealthState
	checked string     // what Check says
	code    codes.Code // or how it fails
	watched string     // what Watch says first
}{
	{netlab.Serving, "SERVING", codes.OK, "SERVING"},
	{netlab.NotServing, "NOT_SERVING", codes.OK, "NOT_SERVING"},
	{netlab.HealthUnknown, "UNKNOWN", codes.OK, "UNKNOWN"},
	{netlab.ServiceUnknown, "", codes.NotFound, "SERVICE_UNKNOWN"},
	{netlab.HealthUnimplemented, "", codes.Unimplemented, ""},
	{netlab.HealthHangs, "", codes.DeadlineExceeded, ""},
}

func TestHealthStates(t *testing.T) {
	t.Parallel()
	for _, service := range []string{"", "lab.Service"} {
		for _, c := range healthStates {
			t.Run(service+" "+string(c.state), func(t *testing.T) {
				t.Parallel()
				h := serving(t, netlab.Health(healthServer(t, service, c.state)))
				client := healthClient(t, h.Addr(), nil)
				wantHealth(t, client, service, c.checked, c.code)

				ctx, cancel := context.WithTimeout(context.Background(), limitFor(c.code))
				defer cancel()
				stream, err := client.Watch(ctx, &healthpb.HealthCheckRequest{Service: service})
				var r *healthpb.HealthCheckResponse
				if err == nil { // the limit may be over before the call is under way
					r, err = stream.Recv()
				}
				if c.watched != "" {
					must(t, err)
					if got := r.GetStatus().String(); got != c.watched {
						t.Errorf("Watch says %s, want %s", got, c.watched)
					}
				} else if status.Code(err) != c.code {
					t.Errorf("Watch ends with %v, want %v", err, c.code)
				}
				counts(t, h, 1, 1)
			})
		}
	}
}

// limitFor is patience, unless no answer is what is waited for.
func limitFor(code codes.Code) time.Duration {
	if code == codes.DeadlineExceeded {
		return 2 * silence
	}
	return patience
}

func wantHealth(t *testing.T, client healthpb.HealthClient, service, checked string, code codes.Code) {
	t.Helper()
	began := time.Now()
	got, err := check(t, client, service, limitFor(code))
	if status.Code(err) != code || err == nil && got != checked {
		t.Errorf("Check of %q says %s, %v; want %s, %v", service, got, err, checked, code)
	}
	if took := time.Since(began); code == codes.DeadlineExceeded && took < limitFor(code) {
		t.Errorf("Check of %q failed after %v, want it to hang", service, took)
	}
}

// Every state follows every other on one connection, and each host of the server
// knows.
func TestHealthChanges(t *testing.T) {
	t.Parallel()
	s := netlab.NewHealthServer()
	one, two := serving(t, netlab.Health(s)), serving(t, netlab.Health(s))
	clients := []healthpb.HealthClient{healthClient(t, one.Addr(), nil), healthClient(t, two.Addr(), nil)}
	for i := range healthStates {
		for j := range healthStates {
			for _, c := range []int{i, j} {
				must(t, s.Set("lab.Service", healthStates[c].state))
				for _, client := range clients {
					wantHealth(t, client, "lab.Service", healthStates[c].checked, healthStates[c].code)
				}
			}
		}
	}
	for _, client := range clients {
		wantHealth(t, client, "", "SERVING", codes.OK)
		wantHealth(t, client, "lab.Nobody", "", codes.NotFound)
	}
	counts(t, one, 1, 1)
	counts(t, two, 1, 1)
}

func TestHealthWatchIsTold(t *testing.T) {
	t.Parallel()
	s := netlab.NewHealthServer()
	h := serving(t, netlab.Health(s))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := healthClient(t, h.Addr(), nil).Watch(ctx, &healthpb.HealthCheckRequest{})
	must(t, err)
	for _, want := range []string{"SERVING", "NOT_SERVING", "SERVICE_UNKNOWN", "UNKNOWN", "SERVING"} {
		r, err := stream.Recv()
		must(t, err)
		if got := r.GetStatus().String(); got != want {
			t.Errorf("Watch says %s, want %s", got, want)
		}
		next := map[string]netlab.HealthState{
			"SERVING": netlab.NotServing, "NOT_SERVING": netlab.ServiceUnknown, "SERVICE_UNKNOWN": netlab.HealthUnknown, "UNKNOWN": netlab.Serving,
		}
		must(t, s.Set("", netlab.HealthHangs)) // nothing is told of that
		must(t, s.Set("", next[want]))
	}
}

func TestHealthOverTLS(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	cert := certificate(t, ca, netlab.Valid, "127.0.0.1")
	for _, c := range []struct {
		alpn []string
		code codes.Code
	}{
		{[]string{"h2"}, codes.OK},
		{[]string{"http/1.1", "h2"}, codes.OK}, // a gRPC client offers h2 alone
		{nil, codes.Unavailable},
	} {
		t.Run(strings.Join(c.alpn, ","), func(t *testing.T) {
			t.Parallel()
			h := serving(t, netlab.TLS(netlab.TLSServer{Certificate: cert, ALPN: c.alpn}, netlab.Health(netlab.NewHealthServer())))
			wantHealth(t, healthClient(t, h.Addr(), &tls.Config{RootCAs: ca.Pool()}), "", "SERVING", c.code)
		})
	}
}

// Only the two calls of a race's interest are there.
func TestHealthListIsUnimplemented(t *testing.T) {
	t.Parallel()
	h := serving(t, netlab.Health(netlab.NewHealthServer()))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := healthClient(t, h.Addr(), nil).List(ctx, &healthpb.HealthListRequest{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("List ends with %v, want UNIMPLEMENTED", err)
	}
}

func TestHealthStateMistakes(t *testing.T) {
	t.Parallel()
	err := netlab.NewHealthServer().Set("lab.Service", "ill")
	if err == nil || !strings.Contains(err.Error(), `no state "ill"; use serving, `) {
		t.Errorf("error is %v", err)
	}
}
