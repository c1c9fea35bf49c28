package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/registry"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
	"optimist/internal/client"
	"optimist/internal/console"
	"optimist/internal/pki"
	"optimist/internal/wire"
)

var (
	admin  = api.User{Name: pki.AdminUser, Groups: []string{api.GroupMasters}}
	ranges = registry.Ranges{ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), NodeBits: 24, ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16")}
)

// start runs a server over memory until the test is over, on a port of the loopback.
func start(t testing.TB, ring *console.Ring) (*Server, string) {
	return startWith(t, Config{Ring: ring}, true)
}

// bare is a server that makes nothing by itself in the namespace default but what the system's pods need, and serves.
func bare(t testing.TB) (*Server, *client.Client) {
	t.Helper()
	s, dir := startWith(t, Config{}, false)
	c := connect(t, filepath.Join(dir, "admin.kubeconfig"))
	if _, err := api.ServiceAccounts.Create(t.Context(), c, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}}); err != nil {
		t.Fatal(err)
	}
	return s, c
}

func startWith(t testing.TB, c Config, signs bool) (*Server, string) {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := (pki.Bootstrap{Cluster: "test", Server: l.Addr().String(), Hosts: []string{"127.0.0.1"}, Nodes: []string{"n1"}}).Run(dir); err != nil {
		t.Fatal(err)
	}
	conf, err := pki.ServerTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	if signs {
		if c.CA, err = pki.EnsureCA(dir); err != nil {
			t.Fatal(err)
		}
	}
	st := memory.New()
	c.Store, c.Listeners, c.TLS, c.Cluster, c.JoinAt, c.Ranges, c.Log = st, []net.Listener{l}, conf, "test", "elsewhere:1", ranges, slog.New(slog.DiscardHandler)
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		st.Close()
	})
	return s, dir
}

// connect is a client with a component's kubeconfig. The port is open before the server runs, so the first call simply waits.
func connect(t testing.TB, kubeconfig string) *client.Client {
	t.Helper()
	conf, err := client.Load(kubeconfig, "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestServiceOverTheNetwork(t *testing.T) {
	apitest.Run(t, func(t *testing.T) api.Service {
		_, c := bare(t)
		return c
	})
}

func TestServiceInProcess(t *testing.T) {
	apitest.Run(t, func(t *testing.T) api.Service {
		s, _ := bare(t)
		return s.Service(admin)
	})
}

func TestTheServersOwnLog(t *testing.T) {
	ring := &console.Ring{}
	_, dir := start(t, ring)
	if _, err := ring.Write([]byte("one\ntwo\n")); err != nil {
		t.Fatal(err)
	}
	c := connect(t, filepath.Join(dir, "admin.kubeconfig"))
	s, err := c.Connect(t.Context(), api.Target{Kind: api.ComponentStatusKind, Key: api.Key{Name: "apiserver"}, Sub: "log"}, url.Values{"tailLines": {"1"}})
	if err != nil {
		t.Fatal(err)
	}
	var text string
	for {
		f, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Channel == api.ChannelStdout {
			text += string(f.Data)
		}
	}
	if text != "two\n" {
		t.Errorf("got %q", text)
	}
}

func TestAnAbsentAgentIsNamed(t *testing.T) {
	_, dir := start(t, nil)
	ctx, node, boss := t.Context(), connect(t, filepath.Join(dir, "node-n1.kubeconfig")), connect(t, filepath.Join(dir, "admin.kubeconfig"))
	if _, err := node.Write(ctx, api.Nodes.Request(api.VerbCreate, api.Key{Name: "n1"}, "", apitest.Object(t, "{apiVersion: v1, kind: Node, metadata: {name: n1}}"))); err != nil {
		t.Fatal(err)
	}
	_, err := boss.Connect(ctx, api.Target{Kind: api.NodeKind, Key: api.Key{Name: "n1"}, Sub: "log"}, nil)
	if !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), `agent of node "n1" is not connected`) {
		t.Errorf("got %v", err)
	}
	if _, err := node.Connect(ctx, api.Target{Kind: api.NodeKind, Key: api.Key{Name: "n1"}, Sub: "log"}, nil); !apierrors.IsForbidden(err) {
		t.Errorf("a node asks: %v", err)
	}
}

// Two servers over one folder by mistake: the second says who has the port, and has touched nothing.
func TestATakenPortNamesItsHolder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	err = Settings{Cluster: "c", Listen: []string{l.Addr().String()}, Data: filepath.Join(dir, "data", "store.db"), PKI: filepath.Join(dir, "pki"),
		ClusterCIDR: "10.244.0.0/16", ServiceCIDR: "10.96.0.0/16", History: time.Hour, HistorySize: "256Mi"}.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "in use by pid "+strconv.Itoa(os.Getpid())+" (") {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("it made %v", left)
	}
}

func TestTheProcess(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close() // a free port, most likely still
	second := strings.Replace(addr, "127.0.0.1", "127.0.0.2", 1)
	s := Settings{Cluster: "c", Data: filepath.Join(dir, "d", "store.db"), PKI: filepath.Join(dir, "pki"), Listen: []string{addr, second}, Nodes: []string{"n1"},
		ClusterCIDR: "10.244.0.0/16", ServiceCIDR: "10.96.0.0/16", History: time.Hour, HistorySize: "256Mi"}
	for round := range 2 { // the second finds what the first has left
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		c := ready(t, filepath.Join(s.PKI, "admin.kubeconfig"), done)
		ca, err := pki.EnsureCA(s.PKI)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca.Cert)
		conn, err := tls.Dial("tcp", second, &tls.Config{RootCAs: roots, NextProtos: []string{wire.ALPN}})
		if err != nil {
			t.Fatalf("its second address: %v", err)
		}
		conn.Close()
		_, err = c.Write(ctx, api.ConfigMaps.Request(api.VerbCreate, api.Key{Namespace: "default", Name: "kept"}, "",
			apitest.Object(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: kept, namespace: default}}")))
		if round == 0 && err != nil || round == 1 && !apierrors.IsAlreadyExists(err) {
			t.Errorf("round %d: %v", round, err)
		}
		batches, err := c.Watch(ctx, api.Target{Kind: api.PodKind}, api.WatchOptions{Initial: true})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		for range batches { // ends, for the server does
		}
		if err := <-done; err != nil {
			t.Errorf("round %d ended with %v", round, err)
		}
	}
	s.ServiceCIDR = "10.244.7.0/24"
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "overlap") {
		t.Errorf("overlapping ranges: %v", err)
	}
}

// ready waits until the server answers.
func ready(t *testing.T, kubeconfig string, done <-chan error) *client.Client {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-done:
			t.Fatal(err)
		default:
		}
		conf, err := client.Load(kubeconfig, "")
		if err != nil {
			continue
		}
		c, err := client.New(conf)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Now(t.Context()); err == nil {
			return c
		}
	}
	t.Fatal("the server does not come up")
	return nil
}
