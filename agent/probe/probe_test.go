package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestRecord(t *testing.T) {
	p := &corev1.Probe{PeriodSeconds: 10, SuccessThreshold: 2, FailureThreshold: 3}
	for answers, want := range map[string]string{
		"+": "unknown", "++": "healthy", "+-+": "unknown", "++-": "healthy", "++--": "healthy", "++---": "failed", "++--+--": "healthy", "---": "failed", "---+": "failed", "---++": "healthy",
	} {
		var r Record
		for _, a := range answers {
			r = r.Add(p, a == '+')
		}
		got := "unknown"
		if r.Healthy {
			got = "healthy"
		}
		if r.Failed {
			got = "failed"
		}
		if got != want || r.Failed && r.Healthy {
			t.Errorf("after %s: %s, want %s", answers, got, want)
		}
	}
	start := time.Unix(0, 0)
	if due := (Record{}).Later(p, start, start.Add(time.Second)).Due; !due.Equal(start.Add(10 * time.Second)) {
		t.Error("the period is not counted from the question:", due)
	}
	if due := (Record{}).Later(p, start, start.Add(12*time.Second)).Due; !due.Equal(start.Add(22 * time.Second)) {
		t.Error("a slow answer leaves no time for anything else:", due)
	}
}

func listen(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestCheck(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			<-r.Context().Done()
		case "/away":
			http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/500", http.StatusFound)
		case "/500":
			w.WriteHeader(500)
		case "/asked":
			if r.Host != "shop.example" || r.Header.Get("X-A") != "b" || r.URL.RawQuery != "q=1" || !strings.HasPrefix(r.UserAgent(), "kube-probe/") {
				w.WriteHeader(400)
			}
		}
	}))
	defer web.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer secure.Close()
	closed := listen(t)
	closed.Close()
	rpc, h, rl := grpc.NewServer(), health.NewServer(), listen(t)
	healthpb.RegisterHealthServer(rpc, h)
	h.SetServingStatus("tired", healthpb.HealthCheckResponse_NOT_SERVING)
	go rpc.Serve(rl)
	defer rpc.Stop()
	port := func(at string) uint16 {
		return netip.MustParseAddrPort(strings.TrimPrefix(strings.TrimPrefix(at, "http://"), "https://")).Port()
	}
	c := &corev1.Container{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: int32(port(web.URL))}}}
	run := func(ctx context.Context, line []string, out io.Writer) (int, error) {
		fmt.Fprintln(out, line)
		switch line[0] {
		case "hang":
			<-ctx.Done()
			return 0, ctx.Err()
		case "none":
			return 0, errors.New("no such file")
		}
		return len(line) - 1, nil
	}
	for _, row := range []struct{ name, handler, want string }{
		{"HTTP, a port by name", `{httpGet: {port: http, path: /}}`, ""},
		{"HTTP, an error", `{httpGet: {port: http, path: /500}}`, "HTTP probe failed with statuscode: 500"},
		{"HTTP, headers and query", `{httpGet: {port: http, path: "/asked?q=1", httpHeaders: [{name: Host, value: shop.example}, {name: X-A, value: b}]}}`, ""},
		{"HTTP, a redirect to somebody else is as good", `{httpGet: {port: http, path: /away}}`, ""},
		{"HTTP, one to itself is followed", `{httpGet: {port: http, path: /here}}`, "HTTP probe failed with statuscode: 500"},
		{"HTTP, nobody answers in time", `{httpGet: {port: http, path: /slow}}`, "context deadline exceeded"},
		{"HTTP, nobody listens", fmt.Sprintf(`{httpGet: {port: %d}}`, port(closed.Addr().String())), "connection refused"},
		{"HTTPS with a certificate that nobody knows", fmt.Sprintf(`{httpGet: {port: %d, scheme: HTTPS}}`, port(secure.URL)), ""},
		{"a name that no port has", `{httpGet: {port: nope}}`, `the container has no port named "nope"`},
		{"TCP", `{tcpSocket: {port: http}}`, ""},
		{"TCP, nobody listens", fmt.Sprintf(`{tcpSocket: {port: %d}}`, port(closed.Addr().String())), "connection refused"},
		{"gRPC", fmt.Sprintf(`{grpc: {port: %d}}`, port(rl.Addr().String())), ""},
		{"gRPC, a service that does not serve", fmt.Sprintf(`{grpc: {port: %d, service: tired}}`, port(rl.Addr().String())), `service unhealthy (responded with "NOT_SERVING")`},
		{"a command", `{exec: {command: ["true"]}}`, ""},
		{"a command that fails says what it printed", `{exec: {command: [a, b]}}`, "[a b]"},
		{"a command that hangs", `{exec: {command: [hang]}}`, "command timed out"},
		{"a command that is not there", `{exec: {command: [none]}}`, "no such file"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var handler corev1.ProbeHandler
			if err := yaml.UnmarshalStrict([]byte(row.handler), &handler); err != nil {
				t.Fatal(err)
			}
			limit := time.Minute
			if strings.Contains(row.name, "in time") || strings.Contains(row.name, "hangs") {
				limit = 20 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			ok, said, err := Check(ctx, handler, Target{Container: c, Address: "127.0.0.1", Exec: run})
			if err != nil || ok != (row.want == "") || !strings.Contains(said, row.want) {
				t.Errorf("%t %q %v, want %q", ok, said, err, row.want)
			}
		})
	}
}

func TestOutputIsLimited(t *testing.T) {
	var l limited
	for range 100 {
		if n, err := l.Write(make([]byte, 1000)); n != 1000 || err != nil {
			t.Fatal(n, err)
		}
	}
	if l.buf.Len() != maxOutput {
		t.Error(l.buf.Len())
	}
}
