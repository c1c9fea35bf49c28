package rest_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/door"
	"optimist/apiserver/door/rest"
	"optimist/internal/api"
	"optimist/internal/pki"
)

// wall opens a door in a port with TLS, as the API server does; stop closes it and waits.
func wall(t testing.TB, c rest.Config) (addr string, client func(protocols ...string) *http.Client, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := (pki.Bootstrap{Cluster: "test", Server: l.Addr().String(), Hosts: []string{"127.0.0.1"}}).Run(dir); err != nil {
		t.Fatal(err)
	}
	conf, err := pki.ServerTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	c.Addr = l.Addr()
	s := rest.New(c)
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return s.Run(ctx) })
	g.Go(func() error {
		return door.Serve(ctx, l, conf, []door.Door{{Protocol: "h2", Enter: s.Enter}, {Protocol: "http/1.1", Enter: s.Enter}, {Enter: s.Enter}})
	})
	stop = sync.OnceFunc(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	ca, err := pki.EnsureCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l.Addr().String(), func(protocols ...string) *http.Client {
		cert, key, err := ca.Issue(pki.Subject{Name: "alice", Groups: []string{api.GroupMasters}}, nil, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		tr := &http.Transport{ForceAttemptHTTP2: slices.Contains(protocols, "h2"), TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}, NextProtos: protocols}}
		if protocols == nil { // names none at all
			tr = &http.Transport{DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}}).DialContext(ctx, network, addr)
			}}
		}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr}
	}, stop
}

// named is a service that answers every list with who asks.
type named struct{ api.Service }

func (named) List(ctx context.Context, _ api.Target, _ api.ListOptions) (api.List, error) {
	u, _ := api.UserFrom(ctx)
	return api.List{Continue: u.Name}, nil
}

func TestEveryProtocolIsServed(t *testing.T) {
	c := config(named{})
	c.Identify = func(_ context.Context, s tls.ConnectionState, _ string, from net.Addr) (api.User, error) {
		u, _ := door.User(s)
		return u, nil
	}
	addr, client, _ := wall(t, c)
	for _, row := range []struct {
		protocols []string
		want      string
	}{{[]string{"h2"}, "HTTP/2.0"}, {[]string{"http/1.1"}, "HTTP/1.1"}, {nil, "HTTP/1.1"}} {
		res, err := client(row.protocols...).Get("https://" + addr + maps)
		if err != nil {
			t.Fatal(row.protocols, err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.Proto != row.want || !strings.Contains(string(body), `"continue":"alice"`) {
			t.Errorf("%v: %s %s %v", row.protocols, res.Proto, body, err)
		}
	}
}

func TestWatchesEndWithTheServer(t *testing.T) {
	for _, protocol := range []string{"h2", "http/1.1"} {
		addr, client, stop := wall(t, config(records(t)))
		res, err := client(protocol).Get("https://" + addr + "/api/v1/secrets?watch=1&resourceVersion=1")
		if err != nil {
			t.Fatal(err)
		}
		stop() // does not wait for them
		if _, err := io.ReadAll(res.Body); err != nil && protocol == "http/1.1" {
			t.Error(err)
		}
		res.Body.Close()
	}
}

// held is a service in which every list hangs until it is let go.
type held struct {
	api.Service
	asked sync.WaitGroup
	free  chan struct{}
}

func (h *held) List(context.Context, api.Target, api.ListOptions) (api.List, error) {
	h.asked.Done()
	<-h.free
	return api.List{}, nil
}

// One user may have a third of what may be under way, and all together no more than that.
func TestTooManyRequests(t *testing.T) {
	const most, own = 600, 200
	h := &held{free: make(chan struct{})}
	c := config(h)
	c.Identify = func(_ context.Context, _ tls.ConnectionState, token string, _ net.Addr) (api.User, error) {
		return api.User{Name: token}, nil
	}
	url := serve(t, c).URL
	var all sync.WaitGroup
	for n := range 3 {
		user := fmt.Sprint("GET ", maps, "\nAuthorization: Bearer ", n)
		h.asked.Add(most / 3)
		for range own {
			all.Go(func() {
				if code, _, body := ask(t, url, user); code != 200 {
					t.Error(code, body)
				}
			})
		}
		h.asked.Wait()
		for _, next := range []string{user, "GET " + maps + "\nAuthorization: Bearer another"}[:1+n/2] {
			code, header, body := ask(t, url, next)
			if code != 429 || header.Get("Retry-After") != "1" || !strings.Contains(body, `"reason":"TooManyRequests"`) {
				t.Errorf("%d %v %s", code, header, body)
			}
		}
	}
	close(h.free)
	all.Wait()
}

func TestImpersonation(t *testing.T) {
	c := config(named{})
	c.Impersonate = func(ctx context.Context, as api.User) (context.Context, error) {
		return api.WithUser(ctx, api.User{Name: fmt.Sprint(as)}), nil
	}
	url := serve(t, c).URL
	for headers, want := range map[string]string{
		"Accept: */*":           `"continue":"admin"`,
		"Impersonate-User: bob": `"continue":"{bob []  map[]}"`,
		"Impersonate-User: bob\nImpersonate-Group: a\nImpersonate-Group: b\nImpersonate-Uid: 7\nImpersonate-Extra-X%2fy: z": `"continue":"{bob [a b] 7 map[x/y:[z]]}"`,
		"Impersonate-Group: a":   `"continue":"{ [a]  map[]}"`, // which the gate refuses
		"Impersonate-Extra-%: a": `"reason":"BadRequest"`,
	} {
		if _, _, body := ask(t, url, "GET "+maps+"\n"+headers); !strings.Contains(body, want) {
			t.Errorf("%s: %s", headers, body)
		}
	}
}

// flood is a service whose watches never end, and note when they are left.
type flood struct {
	api.Service
	left chan struct{}
}

func (f flood) Watch(context.Context, api.Target, api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string]string{"k": strings.Repeat("x", 100_000)}}
	return func(yield func([]api.Event, error) bool) {
		defer close(f.left)
		for yield([]api.Event{{Type: api.Added, Object: o}}, nil) {
		}
	}, nil
}

// A client that does not read is left after half a minute, whatever protocol it speaks.
func TestAClientThatDoesNotRead(t *testing.T) {
	if os.Getenv("OPTIMIST_LONG") == "" {
		t.Skip("takes half a minute: set OPTIMIST_LONG=1")
	}
	for _, protocol := range []string{"h2", "http/1.1"} {
		t.Run(strings.ReplaceAll(protocol, "/", ""), func(t *testing.T) {
			t.Parallel()
			f := flood{left: make(chan struct{})}
			addr, client, _ := wall(t, config(f))
			res, err := client(protocol).Get("https://" + addr + "/api/v1/secrets?watch=1&resourceVersion=1")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.StatusCode != 200 {
				t.Fatal(res.Status)
			}
			<-f.left
		})
	}
}

func (flood) Now(context.Context) (api.Revision, error) { return 0, nil }
