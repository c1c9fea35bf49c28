package probe

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const maxOutput = 10 << 10 // of what a probe says, as in Kubernetes

// Target is who is asked.
type Target struct {
	Container *corev1.Container
	Address   string                                                                            // the pod's
	Exec      func(ctx context.Context, command []string, output io.Writer) (code int, _ error) // in the container
}

// Check asks once, until ctx ends, and returns whether all is well and what was said. An error means that nobody could be asked.
func Check(ctx context.Context, h corev1.ProbeHandler, t Target) (ok bool, said string, err error) {
	switch {
	case h.Exec != nil:
		return command(ctx, h.Exec.Command, t)
	case h.HTTPGet != nil:
		err = get(ctx, h.HTTPGet, t)
	case h.TCPSocket != nil:
		err = connect(ctx, h.TCPSocket, t)
	case h.GRPC != nil:
		err = call(ctx, h.GRPC, t)
	default:
		return false, "", errors.New("the probe has no handler")
	}
	if err != nil {
		return false, err.Error(), nil
	}
	return true, "", nil
}

// command: not even to have started is a failure, as of a program that is not there.
func command(ctx context.Context, line []string, t Target) (bool, string, error) {
	var out limited
	code, err := t.Exec(ctx, line, &out)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return false, fmt.Sprintf("command timed out: %q", strings.Join(line, " ")), nil
	case err != nil:
		return false, err.Error(), nil
	}
	return code == 0, strings.TrimSpace(out.buf.String()), nil
}

// limited keeps the beginning of what is written to it, from both streams.
type limited struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *limited) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(p[:min(len(p), maxOutput-l.buf.Len())])
	return len(p), nil
}

// get accepts any answer from 200 to 399, follows redirects only on the same host, and checks no certificate: as Kubernetes does.
func get(ctx context.Context, h *corev1.HTTPGetAction, t Target) error {
	at, err := t.at(h.Host, h.Port)
	if err != nil {
		return err
	}
	u, err := url.Parse(h.Path)
	if err != nil {
		u = &url.URL{Path: h.Path}
	}
	u.Scheme, u.Host = strings.ToLower(cmp.Or(string(h.Scheme), "http")), at
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "kube-probe/1.37")
	r.Header.Set("Accept", "*/*")
	for _, header := range h.HTTPHeaders {
		if r.Header.Set(header.Name, header.Value); strings.EqualFold(header.Name, "host") {
			r.Host = header.Value
		}
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true, DisableCompression: true}
	answer, err := (&http.Client{Transport: transport, CheckRedirect: func(r *http.Request, before []*http.Request) error {
		if r.URL.Hostname() != u.Hostname() || len(before) >= 10 {
			return http.ErrUseLastResponse
		}
		return nil
	}}).Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode >= 400 {
		return fmt.Errorf("HTTP probe failed with statuscode: %d", answer.StatusCode)
	}
	return nil
}

func connect(ctx context.Context, h *corev1.TCPSocketAction, t Target) error {
	at, err := t.at(h.Host, h.Port)
	if err != nil {
		return err
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", at)
	if err != nil {
		return err
	}
	return c.Close()
}

// call asks gRPC's health service (grpc/doc/health-checking.md).
func call(ctx context.Context, h *corev1.GRPCAction, t Target) error {
	c, err := grpc.NewClient("passthrough:"+net.JoinHostPort(t.Address, strconv.Itoa(int(h.Port))), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer c.Close()
	var q health.HealthCheckRequest
	if h.Service != nil {
		q.Service = *h.Service
	}
	answer, err := health.NewHealthClient(c).Check(ctx, &q)
	if err == nil && answer.GetStatus() != health.HealthCheckResponse_SERVING {
		err = fmt.Errorf("service unhealthy (responded with %q)", answer.GetStatus())
	}
	return err
}

// at is the address to ask: a port may be one that the container gives a name to.
func (t Target) at(host string, p intstr.IntOrString) (string, error) {
	number := p.IntValue()
	for _, known := range t.Container.Ports {
		if p.Type == intstr.String && known.Name == p.StrVal {
			number = int(known.ContainerPort)
		}
	}
	if number <= 0 {
		return "", fmt.Errorf("the container has no port named %q", p.StrVal)
	}
	return net.JoinHostPort(cmp.Or(host, t.Address), strconv.Itoa(number)), nil
}
