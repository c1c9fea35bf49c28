//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	mdns "github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/agent/dns"
	"optimist/internal/api"
	"optimist/internal/informer"
)

const askers = 8 // clients, each with one question under way

// names measures a node's DNS server on loopback, in this process: answers a second about a cluster of 1,000 Services, and out of the cache of what
// an upstream said. The clients share the cores.
func names(ctx context.Context, p plan) ([]figure, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	upstream, err := echo()
	if err != nil {
		return nil, err
	}
	defer upstream.Close()
	address, err := freePort()
	if err != nil {
		return nil, err
	}
	server := &dns.Server{Address: address, Upstreams: func() []string { return []string{upstream.LocalAddr().String()} }}
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, thousand(), slog.New(slog.NewTextHandler(io.Discard, nil))) }()
	var all []figure
	for _, of := range []struct{ what, pattern string }{{"of a cluster of 1,000 Services", "s%d.default.svc.cluster.local."}, {"of outside, from the cache", "h%d.example.com."}} {
		var rates []float64
		var times []time.Duration
		for range p.rounds + 1 {
			rate, each, err := askMany(ctx, address, of.pattern, 10*p.writes)
			if err != nil {
				return nil, err
			}
			rates, times = append(rates, rate), each
		}
		rates = rates[1:] // the first fills the cache
		slices.Sort(rates)
		all = append(all, figure{name: "DNS answers about names " + of.what, value: fmt.Sprintf("%.0f/s [%.0f], p99 %s",
			rates[len(rates)/2], rates[len(rates)-1], milliseconds(at(times, 0.99)))})
	}
	stop()
	return all, <-done
}

// thousand is the cache of an agent that has seen 1,000 Services.
func thousand() dns.Zones {
	set := informer.NewSet(nil)
	z := dns.Watch(set)
	var services []api.Event
	for i := range 1000 {
		services = append(services, api.Event{Type: api.Added, Revision: 1, Object: &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("s%d", i), ResourceVersion: "1"},
			Spec:       corev1.ServiceSpec{ClusterIP: fmt.Sprintf("10.96.%d.%d", i/250, i%250), Ports: []corev1.ServicePort{{Port: 80}}}}})
	}
	set.Open(api.ServiceKind)
	set.Deliver(api.ServiceKind, append(services, api.Event{Type: api.Bookmark, Revision: 1, InitialEnd: true}))
	return z
}

// echo is an upstream that knows every name.
func echo() (net.PacketConn, error) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &mdns.Server{PacketConn: conn, Handler: mdns.HandlerFunc(func(w mdns.ResponseWriter, q *mdns.Msg) {
		m := new(mdns.Msg).SetReply(q)
		m.Answer = []mdns.RR{&mdns.A{Hdr: mdns.RR_Header{Name: q.Question[0].Name, Rrtype: mdns.TypeA, Class: mdns.ClassINET, Ttl: 3600}, A: net.IPv4(192, 0, 2, 1)}}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = server.ActivateAndServe() }() // ends with conn
	return conn, nil
}

func freePort() (netip.AddrPort, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer l.Close()
	return netip.ParseAddrPort(l.Addr().String())
}

// askMany asks n questions about 1,000 names, and returns the answers a second and how long each took.
func askMany(ctx context.Context, at netip.AddrPort, pattern string, n int) (float64, []time.Duration, error) {
	each := make([][]time.Duration, askers)
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range askers {
		group.Go(func() (err error) {
			conn, err := net.Dial("udp4", at.String())
			if err != nil {
				return err
			}
			defer conn.Close()
			for range n / askers {
				took, err := askOne(ctx, conn, fmt.Sprintf(pattern, rand.IntN(1000)))
				if err != nil {
					return err
				}
				each[i] = append(each[i], took)
			}
			return nil
		})
	}
	err := group.Wait()
	all := slices.Concat(each...)
	return float64(len(all)) / time.Since(began).Seconds(), all, err
}

// askOne asks until there is an answer: the server may just have begun.
func askOne(ctx context.Context, conn net.Conn, name string) (time.Duration, error) {
	question, err := new(mdns.Msg).SetQuestion(name, mdns.TypeA).Pack()
	if err != nil {
		return 0, err
	}
	answer, began := make([]byte, 512), time.Now()
	for tries := 0; ; tries++ {
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err = conn.Write(question); err == nil {
			_, err = conn.Read(answer)
		}
		switch {
		case err == nil && answer[0] == question[0] && answer[1] == question[1]:
			if answer[7] != 1 { // the count of answers
				return 0, fmt.Errorf("%s: %d answers, rcode %d", name, answer[7], answer[3]&15)
			}
			return time.Since(began), nil
		case ctx.Err() != nil || tries > 50:
			return 0, fmt.Errorf("%s: no answer: %w", name, err)
		case err != nil:
			time.Sleep(10 * time.Millisecond)
		}
	}
}
