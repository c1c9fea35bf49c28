package grpc_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
	"optimist/internal/client"
	"optimist/internal/pki"
	"optimist/internal/wire"
	"optimist/proto"
)

func configMap(name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string]string{"key": value}}
}

func TestObjectsOverTheNetwork(t *testing.T) {
	w := build(t, records(t))
	ctx, c := t.Context(), w.client(t, "admin", api.GroupMasters)
	before, err := c.Now(ctx)
	if err != nil {
		t.Fatal(err)
	}
	batches, err := c.Watch(ctx, api.Target{Kind: api.ConfigMapKind}, api.WatchOptions{After: before})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.ConfigMaps.Create(ctx, c, configMap("a", "one")); err != nil {
		t.Fatal(err)
	}
	if _, err := api.ConfigMaps.Patch(ctx, c, api.Key{Namespace: "default", Name: "a"}, "", types.MergePatchType, []byte(`{"data":{"key":"two"}}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := api.ConfigMaps.Create(ctx, c, configMap("a", "again")); !apierrors.IsAlreadyExists(err) {
		t.Errorf("the second create: %v", err)
	}
	all, err := api.ConfigMaps.List(ctx, c, "default", api.ListOptions{})
	if err != nil || len(all) != 1 || all[0].Data["key"] != "two" {
		t.Errorf("list: %v, %v", all, err)
	}
	if err := api.ConfigMaps.Delete(ctx, c, api.KeyOf(all[0]), api.Options{}); err != nil {
		t.Fatal(err)
	}
	if got, want := types3(t, batches), "ADDED one, MODIFIED two, DELETED two"; got != want {
		t.Errorf("the watch told %s; want %s", got, want)
	}
	if _, err := api.ConfigMaps.Get(ctx, c, api.KeyOf(all[0])); !apierrors.IsNotFound(err) {
		t.Errorf("after the delete: %v", err)
	}
}

// types3 reads three events.
func types3(t *testing.T, batches func(func([]api.Event, error) bool)) string {
	t.Helper()
	var told []string
	for batch, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range batch {
			if e.Type != api.Bookmark {
				told = append(told, string(e.Type)+" "+e.Object.(*corev1.ConfigMap).Data["key"])
			}
		}
		if len(told) == 3 {
			break
		}
	}
	return strings.Join(told, ", ")
}

func TestAWatchIsRefusedBeforeItsFirstEvent(t *testing.T) {
	w := build(t, records(t))
	_, err := w.client(t, "admin").Watch(t.Context(), api.Target{Kind: api.ConfigMapKind}, api.WatchOptions{After: 1 << 40})
	if err == nil {
		t.Error("a watch from the future was accepted")
	}
}

func TestWatchesEndWhenTheServerStops(t *testing.T) {
	w := build(t, records(t))
	batches, err := w.client(t, "admin").Watch(t.Context(), api.Target{Kind: api.SecretKind}, api.WatchOptions{Initial: true})
	if err != nil {
		t.Fatal(err)
	}
	go w.stop()
	for _, err = range batches {
	}
	if !apierrors.IsServiceUnavailable(err) {
		t.Errorf("the watch ended with %v", err)
	}
}

// nosy is a service that only looks at who asks and why.
type nosy struct {
	api.Service
	user   api.User
	causes api.Causes
	fence  *api.Fence
}

func (n *nosy) Write(ctx context.Context, r api.Request) (api.Result, error) {
	n.user, _ = api.UserFrom(ctx)
	n.causes, n.fence = api.CausesFrom(ctx), r.Fence
	return api.Result{Object: r.Body}, nil
}

func (n *nosy) Get(context.Context, api.Target, api.GetOptions) (api.Result, error) { panic("ouch") }

func TestWhoAsksAndWhy(t *testing.T) {
	for _, row := range []struct {
		name, user string
		groups     []string
		heard      bool
	}{
		{"a person's causes are ignored", "alice", []string{api.GroupMasters}, false},
		{"so are those of somebody who only calls himself a node", "system:node:n1", nil, false},
		{"a node's count", "system:node:n1", []string{api.GroupNodes}, true},
		{"a controller's count", "system:controller:deployment", nil, true},
		{"the scheduler's count", "system:scheduler", nil, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := &nosy{}
			c := build(t, n).client(t, row.user, row.groups...)
			fence := api.Fence{Lease: api.Key{Namespace: "kube-system", Name: "x"}, Holder: "me", Epoch: 3}
			ctx := api.WithFence(api.WithCauses(t.Context(), api.Causes{}.Add(api.Cause{Type: api.CauseTrigger, Revision: 7})), fence)
			if _, err := api.ConfigMaps.Create(ctx, c, configMap("a", "b")); err != nil {
				t.Fatal(err)
			}
			if n.user.Name != row.user || !n.user.In("system:authenticated") {
				t.Errorf("the service saw %+v", n.user)
			}
			if heard := len(n.causes.Edges) == 1; heard != row.heard {
				t.Errorf("causes arrived: %+v", n.causes)
			}
			if n.fence == nil || *n.fence != fence {
				t.Errorf("the fence arrived as %+v", n.fence)
			}
		})
	}
}

func TestAPanicIsThatCallsError(t *testing.T) {
	c := build(t, &nosy{}).client(t, "admin")
	for range 2 { // the server survives it
		if _, err := c.Get(t.Context(), api.Target{Kind: api.PodKind}, api.GetOptions{}); !apierrors.IsInternalError(err) {
			t.Errorf("got %v", err)
		}
	}
}

func TestTroubleInWords(t *testing.T) {
	w := build(t, records(t))
	other, err := pki.EnsureCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	issue := func(ca *pki.CA, life time.Duration) client.Config {
		cert, key, err := ca.Issue(pki.Subject{Name: "alice"}, nil, life)
		if err != nil {
			t.Fatal(err)
		}
		return client.Config{Server: w.addr, CA: w.ca.PEM, Cert: cert, Key: key, Source: "my.kubeconfig"}
	}
	for _, row := range []struct {
		name string
		conf func() client.Config
		says []string
	}{
		{"nobody listens", func() client.Config { c := issue(w.ca, time.Hour); c.Server = gone.Addr().String(); return c },
			[]string{"cannot reach the API server at " + gone.Addr().String(), "connection refused", "ctl start"}},
		{"our certificate has expired", func() client.Config { return issue(w.ca, -time.Minute) }, []string{"my.kubeconfig", `certificate of "alice" expired`, "ctl certs renew"}},
		{"our certificate is another cluster's", func() client.Config { return issue(other, time.Hour) }, []string{"another cluster"}},
		{"the server is another cluster's", func() client.Config { c := issue(w.ca, time.Hour); c.CA = other.PEM; return c }, []string{"another cluster"}},
		{"the server has another name", func() client.Config { c := issue(w.ca, time.Hour); c.ServerName = "elsewhere"; return c }, []string{"not made out to this address"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := dial(t, row.conf()).Now(t.Context())
			if !apierrors.IsServiceUnavailable(err) {
				t.Fatalf("got %v", err)
			}
			for _, s := range row.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
		})
	}
}

// slow is a service in which a write hangs.
type slow struct {
	api.Service
	begun chan struct{}
}

func (s slow) Write(ctx context.Context, _ api.Request) (api.Result, error) {
	close(s.begun)
	<-ctx.Done()
	return api.Result{}, errors.New("nobody hears this")
}

func TestAWriteCutOffIsAmbiguous(t *testing.T) {
	s := slow{begun: make(chan struct{})}
	w := build(t, s)
	conf, conns := w.config(t, "admin"), make(chan net.Conn, 1)
	conf.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		conns <- c
		return c, err
	}
	c := dial(t, conf)
	go func() {
		<-s.begun
		(<-conns).Close()
	}()
	if _, err := api.ConfigMaps.Create(t.Context(), c, configMap("a", "b")); err == nil || !api.Ambiguous(err) {
		t.Errorf("got %v, which is not ambiguous", err)
	}
}

func TestAWriteThatNeverLeftIsClear(t *testing.T) {
	w := build(t, records(t))
	c := w.client(t, "admin")
	if _, err := c.Now(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.stop()
	for { // until the client has noticed
		_, err := api.ConfigMaps.Create(t.Context(), c, configMap("a", "b"))
		if err == nil {
			t.Fatal("written to a dead server")
		}
		if strings.Contains(err.Error(), "connection refused") {
			if api.Ambiguous(err) {
				t.Errorf("ambiguous: %v", err)
			}
			return
		}
	}
}

func TestAClientComesBackWhenTheServerDoes(t *testing.T) {
	r := records(t)
	w := build(t, r)
	c := w.client(t, "admin")
	if _, err := c.Now(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.stop()
	l, err := net.Listen("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	w.open(t, r, l)
	for deadline := time.Now().Add(5 * time.Second); ; {
		if _, err = c.Now(t.Context()); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestWhatElseKnocks(t *testing.T) {
	w := build(t, records(t))
	for _, row := range []struct {
		name      string
		protocols []string
		says      string
	}{
		{"a protocol without a door is refused in the handshake", []string{"h2", "http/1.1"}, "no application protocol"},
		{"a client that names no protocol is hung up on", nil, "EOF"},
		{"a client without certificate cannot keep a connection", []string{wire.ALPNKept}, "EOF"},
	} {
		t.Run(row.name, func(t *testing.T) {
			conn, err := tls.Dial("tcp", w.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: row.protocols})
			if err == nil {
				defer conn.Close()
				_, err = io.ReadAll(conn)
				if err == nil {
					err = io.EOF // what ReadAll takes for success
				}
			}
			if !strings.Contains(err.Error(), row.says) {
				t.Errorf("got %v, want %q", err, row.says)
			}
		})
	}
}

func TestWithoutACertificateNothingIsTold(t *testing.T) {
	w := build(t, records(t))
	conn, err := rpc.NewClient(w.addr, rpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, NextProtos: []string{wire.ALPN}})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	objects := proto.NewObjectsClient(conn)
	if _, err := objects.Now(t.Context(), &proto.NowRequest{}); !apierrors.IsUnauthorized(wire.DecodeError(err)) {
		t.Errorf("Now: %v", err)
	}
	s, err := objects.Watch(t.Context(), wire.EncodeWatch(api.Target{Kind: api.SecretKind}, api.WatchOptions{Initial: true}))
	if err == nil {
		_, err = s.Recv()
	}
	if !apierrors.IsUnauthorized(wire.DecodeError(err)) {
		t.Errorf("Watch: %v", err)
	}
}

func TestARequestTooLargeIsRefused(t *testing.T) {
	c := build(t, records(t)).client(t, "admin")
	_, err := api.ConfigMaps.Create(t.Context(), c, configMap("big", strings.Repeat("x", 9<<20)))
	if !apierrors.IsRequestEntityTooLargeError(err) || api.Ambiguous(err) {
		t.Errorf("got %v", err)
	}
}
