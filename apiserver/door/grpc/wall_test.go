package grpc_test

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"optimist/apiserver/door"
	"optimist/apiserver/door/grpc"
	"optimist/apiserver/hub"
	"optimist/apiserver/registry"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
	"optimist/internal/client"
	"optimist/internal/pki"
	"optimist/internal/wire"
)

// wall is a port with both doors in it, and the authority whose certificates open them.
type wall struct {
	ca   *pki.CA
	dir  string
	addr string
	hub  hub.Hub
	stop func() // and wait
}

// build opens the port over a service.
func build(t testing.TB, svc api.Service) *wall {
	t.Helper()
	w := &wall{dir: t.TempDir()}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = l.Addr().String()
	if err := (pki.Bootstrap{Cluster: "test", Server: w.addr, Hosts: []string{"127.0.0.1"}}).Run(w.dir); err != nil {
		t.Fatal(err)
	}
	if w.ca, err = pki.EnsureCA(w.dir); err != nil {
		t.Fatal(err)
	}
	w.open(t, svc, l)
	return w
}

// open serves on l until stop.
func (w *wall) open(t testing.TB, svc api.Service, l net.Listener) {
	t.Helper()
	conf, err := pki.ServerTLS(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	native, kept := grpc.New(svc, api.Builtin, l.Addr(), log), grpc.NewKept(w.hub.Register, l.Addr(), log)
	native.Authenticate = func(_ context.Context, _ net.Addr, token string) (api.User, error) { return api.User{Name: token}, nil }
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return native.Run(ctx) })
	g.Go(func() error { return kept.Run(ctx) })
	g.Go(func() error {
		return door.Serve(ctx, l, conf, []door.Door{{Protocol: wire.ALPN, Enter: native.Enter}, {Protocol: wire.ALPNKept, Enter: kept.Enter}})
	})
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
}

// config is access as a user of some groups.
func (w *wall) config(t testing.TB, user string, groups ...string) client.Config {
	t.Helper()
	cert, key, err := w.ca.Issue(pki.Subject{Name: user, Groups: groups}, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return client.Config{Server: w.addr, CA: w.ca.PEM, Cert: cert, Key: key, Log: slog.New(slog.DiscardHandler)}
}

func (w *wall) client(t testing.TB, user string, groups ...string) *client.Client {
	t.Helper()
	return dial(t, w.config(t, user, groups...))
}

func dial(t testing.TB, conf client.Config) *client.Client {
	t.Helper()
	c, err := client.New(conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// records is a registry over memory.
func records(t testing.TB) *registry.Registry {
	t.Helper()
	r, err := registry.New(memory.New(), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	run(t, r.Run)
	if err := r.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// run runs something until the test is over.
func run(t testing.TB, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}
