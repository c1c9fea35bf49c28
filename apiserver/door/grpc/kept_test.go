package grpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
	"optimist/internal/client"
	"optimist/internal/console"
)

// echo is a component that says who it is, then repeats what it hears.
type echo string

func (e echo) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	if t.Sub != "exec" {
		return nil, api.PodKind.NotFound(t.Key.Name)
	}
	near, far := console.Pipe(ctx)
	go func() {
		_ = far.Send(api.Frame{Channel: api.ChannelStdout, Data: []byte(string(e) + " " + params.Get("command"))})
		for {
			f, err := far.Recv()
			if err != nil {
				break
			}
			f.Channel = api.ChannelStdout
			_ = far.Send(f)
		}
		_ = console.Finish(far, nil)
	}()
	return near, nil
}

// keep keeps a connection until the returned function; cut breaks it as a network would.
func keep(t *testing.T, w *wall, user string, c api.Connector, groups ...string) (end, cut func()) {
	t.Helper()
	conf := w.config(t, user, groups...)
	var mu sync.Mutex
	var conn net.Conn
	conf.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		mu.Lock()
		defer mu.Unlock()
		conn = c
		return c, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- client.Keep(ctx, conf, c) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return end, func() { mu.Lock(); defer mu.Unlock(); conn.Close() }
}

// ask waits until a component answers as want.
func ask(t *testing.T, w *wall, component, want string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		got, err := greeting(t.Context(), w, component)
		if err == nil && got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s answers %q, %v; want %q", component, got, err, want)
		}
	}
}

func greeting(ctx context.Context, w *wall, component string) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := w.hub.Dial(ctx, component)
	if err != nil {
		return "", err
	}
	s, err := c.Connect(ctx, api.Target{Kind: api.PodKind, Sub: "exec"}, url.Values{"command": {"hello"}})
	if err != nil {
		return "", err
	}
	f, err := s.Recv()
	return string(f.Data), err
}

const n1 = "system:node:n1"

func TestANodeAnswersOnItsConnection(t *testing.T) {
	w := build(t, nil)
	keep(t, w, n1, echo("agent"), api.GroupNodes)
	ask(t, w, n1, "agent hello")
	c, err := w.hub.Dial(t.Context(), n1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Connect(t.Context(), api.Target{Kind: api.PodKind, Sub: "log", Key: api.Key{Name: "web"}}, nil); !apierrors.IsNotFound(err) {
		t.Errorf("a refusal arrives as %v", err)
	}
	s, err := c.Connect(t.Context(), api.Target{Kind: api.PodKind, Sub: "exec"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(api.Frame{Channel: api.ChannelStdin, Data: []byte("abc")}); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var channels []api.Channel
	var text string
	for {
		f, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		channels, text = append(channels, f.Channel), text+string(f.Data)
	}
	if len(channels) != 3 || channels[2] != api.ChannelError || text[:9] != "agent abc" {
		t.Errorf("got %v %q", channels, text)
	}
}

func TestAKeptConnectionIsDialedAgain(t *testing.T) {
	w := build(t, nil)
	_, cut := keep(t, w, n1, echo("agent"), api.GroupNodes)
	for range 3 {
		ask(t, w, n1, "agent hello")
		cut()
		for { // until the hub has noticed
			if _, err := greeting(t.Context(), w, n1); err != nil {
				break
			}
		}
	}
	ask(t, w, n1, "agent hello")
}

func TestTheNewestConnectionAnswers(t *testing.T) {
	w := build(t, nil)
	keep(t, w, n1, echo("old"), api.GroupNodes)
	ask(t, w, n1, "old hello")
	end, _ := keep(t, w, n1, echo("new"), api.GroupNodes)
	ask(t, w, n1, "new hello")
	end()
	ask(t, w, n1, "old hello")
}

func TestOnlyComponentsKeepConnections(t *testing.T) {
	w := build(t, nil)
	keep(t, w, "alice", echo("me"), api.GroupMasters)
	keep(t, w, "system:node:n2", echo("no member of system:nodes"))
	keep(t, w, "system:scheduler", echo("scheduler"))
	ask(t, w, "system:scheduler", "scheduler hello")
	for _, user := range []string{"alice", "system:node:n2", n1} {
		if _, err := w.hub.Dial(t.Context(), user); !apierrors.IsServiceUnavailable(err) {
			t.Errorf("%s: %v", user, err)
		}
	}
}

func TestAStreamEndsWithItsContext(t *testing.T) {
	w := build(t, nil)
	keep(t, w, n1, echo("agent"), api.GroupNodes)
	ask(t, w, n1, "agent hello")
	c, err := w.hub.Dial(t.Context(), n1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := c.Connect(ctx, api.Target{Kind: api.PodKind, Sub: "exec"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for {
		if _, err = s.Recv(); err != nil {
			break
		}
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
