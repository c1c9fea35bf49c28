//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/pki"
)

// httpClients ask the REST door in JSON over HTTP/2, as client-go does: each has a connection of its own.
type httpClients struct {
	all  []*http.Client
	base string // https://host:port
}

const configMaps = "/api/v1/namespaces/default/configmaps"

func (s *server) http(n int) (*httpClients, error) {
	a, err := pki.LoadKubeconfig(filepath.Join(s.dir, "pki", "admin.kubeconfig"), "")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(a.Cert, a.Key)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.CA)
	h := &httpClients{base: "https://" + a.Server}
	for range n {
		h.all = append(h.all, &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, DisableCompression: true,
			TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}})
	}
	return h, nil
}

// do asks once and returns how long the answer was.
func (h *httpClients) do(ctx context.Context, c *http.Client, method, path, media string, body []byte) (int64, error) {
	r, err := http.NewRequestWithContext(ctx, method, h.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", media)
	res, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode > 201 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 500))
		return 0, fmt.Errorf("%s %s: %s: %s", method, path, res.Status, text)
	}
	return io.Copy(io.Discard, res.Body)
}

// rate has the first k clients share n requests.
func (h *httpClients) rate(ctx context.Context, k, n int, one func(ctx context.Context, c *http.Client, i int) error) (float64, error) {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for _, c := range h.all[:k] {
		g.Go(func() error {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if err := one(ctx, c, int(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	return float64(n) / time.Since(began).Seconds(), err
}

// rest measures the door that kubectl and client-go use: ConfigMaps of 1 KB in JSON, the clients' own CPU included. The reach is that of an API server
// of Kubernetes on the same machine, times five (creates, gets) or a third (lists).
func rest(ctx context.Context, p plan) (figures []figure, err error) {
	s, err := startServer(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	h, err := s.http(64)
	if err != nil {
		return nil, err
	}
	made := 0
	for _, op := range []struct {
		name  string
		reach string // with 64
		one   func(ctx context.Context, c *http.Client, i int) error
	}{
		{"creates", "≥ 5000/s", func(ctx context.Context, c *http.Client, i int) error {
			body, err := json.Marshal(kilobyte(made + i))
			if err == nil {
				_, err = h.do(ctx, c, "POST", configMaps, "application/json", body)
			}
			return err
		}},
		{"gets", "≥ 10500/s", func(ctx context.Context, c *http.Client, i int) error {
			_, err := h.do(ctx, c, "GET", fmt.Sprintf("%s/cm-%d", configMaps, i%made+1), "", nil)
			return err
		}},
		{"lists of 10", "", func(ctx context.Context, c *http.Client, _ int) error {
			_, err := h.do(ctx, c, "GET", configMaps+"?limit=10", "", nil)
			return err
		}},
		{"merge patches", "", func(ctx context.Context, c *http.Client, i int) error {
			_, err := h.do(ctx, c, "PATCH", fmt.Sprintf("%s/cm-%d", configMaps, i%made+1), "application/merge-patch+json", fmt.Appendf(nil, `{"data":{"n":"%d"}}`, i))
			return err
		}},
	} {
		for _, k := range []int{1, 16, 64} {
			n := p.writes
			if k == 1 {
				n /= 10
			}
			r, err := h.rate(ctx, k, n, op.one)
			if err != nil {
				return figures, err
			}
			if op.name == "creates" {
				made += n
			}
			f := figure{name: fmt.Sprintf("REST %s, %d clients", op.name, k), value: fmt.Sprintf("%.0f/s", r)}
			if k == 64 {
				f.reach = op.reach
			}
			figures = append(figures, f)
		}
	}
	more, err := h.lists(ctx, p)
	if err != nil {
		return figures, err
	}
	last, err := h.watchers(ctx, p)
	return append(append(figures, more...), last...), err
}

func kilobyte(i int) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("cm-%d", i)}, Data: map[string]string{"key": strings.Repeat("x", 1000)}}
}

// lists takes the time of lists of 5,000 objects, or of as many as there are.
func (h *httpClients) lists(ctx context.Context, p plan) (figures []figure, err error) {
	for _, media := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		var times []time.Duration
		var size int64
		for range 4 * p.rounds {
			began := time.Now()
			r, err := http.NewRequestWithContext(ctx, "GET", h.base+configMaps+"?limit=5000", nil)
			if err != nil {
				return nil, err
			}
			r.Header.Set("Accept", media)
			res, err := h.all[0].Do(r)
			if err != nil {
				return nil, err
			}
			size, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != 200 {
				return nil, fmt.Errorf("list: %s: %w", res.Status, err)
			}
			times = append(times, time.Since(began))
		}
		figures = append(figures, figure{name: fmt.Sprintf("REST list of 5,000 × 1 KB, read raw, %s (%.1f MB)", filepath.Base(media), float64(size)/1e6), value: "p50 " + milliseconds(median(times)), reach: "≤ 22 ms"})
	}
	return figures, nil
}

// watchers has 1,000 watches of one kind follow it while one client writes, and takes the time from each write's request to the moment when all have read of it.
func (h *httpClients) watchers(ctx context.Context, p plan) ([]figure, error) {
	const n = 1000
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	told := make(chan struct{}, n)
	g, ctx := errgroup.WithContext(ctx)
	for i := range n {
		r, err := http.NewRequestWithContext(ctx, "GET", h.base+"/api/v1/namespaces/default/secrets?watch=true", nil)
		if err != nil {
			return nil, err
		}
		res, err := h.all[i%len(h.all)].Do(r)
		if err != nil {
			return nil, err
		}
		g.Go(func() error {
			defer res.Body.Close()
			lines := bufio.NewReaderSize(res.Body, 4<<10)
			for {
				_, err := lines.ReadSlice('\n')
				if err != nil {
					return nil // the end
				}
				told <- struct{}{}
			}
		})
	}
	var times []time.Duration
	for i := range 10 * p.rounds {
		began := time.Now()
		body, err := json.Marshal(corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("s-%d", i)}})
		if err != nil {
			return nil, err
		}
		if _, err := h.do(ctx, h.all[0], "POST", "/api/v1/namespaces/default/secrets", "application/json", body); err != nil {
			return nil, err
		}
		for range n {
			select {
			case <-told:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		times = append(times, time.Since(began))
	}
	cancel()
	_ = g.Wait()
	slices.Sort(times)
	return []figure{{name: "REST: from a create until 1,000 watchers have read of it", value: fmt.Sprintf("p50 %s, worst %s", milliseconds(median(times)), milliseconds(times[len(times)-1]))}}, nil
}
