package apiserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"optimist/internal/pki"
)

// BenchmarkREST measures what BenchmarkCreate does, through HTTP/2: 64 clients on 8 connections in this process, so that their work counts too.
func BenchmarkREST(b *testing.B) {
	addr, dir := bolted(b)
	access, err := pki.LoadKubeconfig(filepath.Join(dir, "admin.kubeconfig"), "")
	if err != nil {
		b.Fatal(err)
	}
	pair, err := tls.X509KeyPair(access.Cert, access.Key)
	if err != nil {
		b.Fatal(err)
	}
	clients := make([]*http.Client, 8)
	for n := range clients {
		clients[n] = &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, DisableCompression: true,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}}}
	}
	url := "https://" + addr + "/api/v1/namespaces/default/configmaps"
	do := func(c *http.Client, method, url, accept string, body []byte) (size int64) {
		r, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		r.Header.Set("Content-Type", "application/json")
		res, err := c.Do(r)
		if err != nil {
			b.Error(err)
			return 0
		}
		defer res.Body.Close()
		size, err = io.Copy(io.Discard, res.Body)
		if err != nil || res.StatusCode > 201 {
			b.Error(res.Status, err)
		}
		return size
	}
	many := func(b *testing.B, what func(c *http.Client, n int64)) {
		var next atomic.Int64
		var wg sync.WaitGroup
		before := cpu()
		b.ResetTimer()
		for i := range 64 {
			wg.Go(func() {
				for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
					what(clients[i%len(clients)], n)
				}
			})
		}
		wg.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
	}
	var made atomic.Int64
	b.Run("create", func(b *testing.B) {
		many(b, func(c *http.Client, _ int64) {
			body, err := json.Marshal(kilobyte(made.Add(1)))
			if err != nil {
				b.Error(err)
			}
			do(c, "POST", url, "application/json", body)
		})
	})
	if made.Load() == 0 {
		b.Skip("nothing to read")
	}
	for made.Load() < 5000 {
		body, err := json.Marshal(kilobyte(made.Add(1)))
		if err != nil {
			b.Fatal(err)
		}
		do(clients[0], "POST", url, "application/json", body)
	}
	for _, media := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		b.Run("get "+filepath.Base(media), func(b *testing.B) {
			many(b, func(c *http.Client, n int64) { do(c, "GET", url+fmt.Sprintf("/cm-%d", n%5000+1), media, nil) })
		})
		b.Run("list 5000 "+filepath.Base(media), func(b *testing.B) {
			before := cpu()
			for b.Loop() {
				b.SetBytes(do(clients[0], "GET", url+"?limit=5000", media, nil))
			}
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// cpu is the time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
