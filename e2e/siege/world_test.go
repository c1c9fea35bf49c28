package siege

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver"
	"optimist/apiserver/registry"
	"optimist/apiserver/store/bolt"
	"optimist/internal/api"
	"optimist/internal/client"
	"optimist/internal/pki"
)

// full reports whether tests run at their whole length.
func full() bool { return os.Getenv("OPTIMIST_LONG") != "" }

// many is a number of besiegers: the first, or at full length the second.
func many(share, whole int) int {
	if full() {
		return whole
	}
	return share
}

// world is a server under siege. Besiegers and server are in one process, so that everything is counted twice.
type world struct {
	addr   string
	ca     *pki.CA
	native *client.Client // of a friend
	friend *http.Client
	pair   map[string]tls.Certificate // by user
	open   atomic.Int64               // streams that node n1 serves
	made   atomic.Int64               // names
}

const (
	friendly = "alice"
	hostile  = "mallory"
	maps     = "/api/v1/namespaces/default/configmaps"
)

func build(t *testing.T) *world {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	w := &world{addr: l.Addr().String(), pair: map[string]tls.Certificate{}}
	if err := (pki.Bootstrap{Cluster: "siege", Server: w.addr, Hosts: []string{"127.0.0.1"}}).Run(dir); err != nil {
		t.Fatal(err)
	}
	if w.ca, err = pki.EnsureCA(dir); err != nil {
		t.Fatal(err)
	}
	conf, err := pki.ServerTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(filepath.Join(dir, "db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := apiserver.New(apiserver.Config{Store: db, Listeners: []net.Listener{l}, TLS: conf, Cluster: "siege", Log: slog.New(slog.DiscardHandler),
		Ranges: registry.Ranges{ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), NodeBits: 24, ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16")}})
	if err != nil {
		t.Fatal(err)
	}
	s.Register(api.NodePrefix+"n1", node{w})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, db.Close(), l.Close()); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	for _, user := range []string{friendly, hostile} {
		cert, key, err := w.ca.Issue(pki.Subject{Name: user, Groups: []string{api.GroupMasters}}, nil, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if w.pair[user], err = tls.X509KeyPair(cert, key); err != nil {
			t.Fatal(err)
		}
	}
	access, err := client.Load(filepath.Join(dir, "admin.kubeconfig"), "")
	if err != nil {
		t.Fatal(err)
	}
	if w.native, err = client.New(access); err != nil {
		t.Fatal(err)
	}
	var friends closers
	w.friend = w.client(friendly, "h2", &friends)
	t.Cleanup(func() { w.native.Close(); friends.lift() })
	if _, err := api.ServiceAccounts.Create(t.Context(), w.native, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}}); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"}, Spec: corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	if _, err := api.Pods.Create(t.Context(), w.native, pod); err != nil {
		t.Fatal(err)
	}
	w.answers(t)
	return w
}

// node serves streams that never end by themselves.
type node struct{ *world }

func (n node) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	if t.Sub == "portforward" && !params.Has("port") { // could it be done?
		return quiet{canceled()}, nil
	}
	n.open.Add(1)
	context.AfterFunc(ctx, func() { n.open.Add(-1) })
	return quiet{ctx}, nil
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

type quiet struct{ ctx context.Context }

func (quiet) Send(api.Frame) error { return nil }
func (quiet) CloseSend() error     { return nil }
func (q quiet) Recv() (api.Frame, error) {
	<-q.ctx.Done()
	return api.Frame{}, io.EOF
}

// client speaks HTTP as it should; its connections are added to all.
func (w *world) client(user, protocol string, all *closers) *http.Client {
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{w.pair[user]}, NextProtos: []string{protocol}}}
	return &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: protocol == "h2", DisableCompression: true,
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := d.DialContext(ctx, network, addr)
			if err == nil {
				all.add(conn)
			}
			return conn, err
		}}}
}

// dial opens a bare connection; user "" has no certificate.
func (w *world) dial(t *testing.T, user, protocol string) *tls.Conn {
	conf := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}
	if pair, ok := w.pair[user]; ok {
		conf.Certificates = []tls.Certificate{pair}
	}
	conn, err := tls.Dial("tcp", w.addr, conf)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// ask sends a friend's request, which must succeed.
func (w *world) ask(t *testing.T, method, path, body string) {
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+w.addr+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	res, err := w.friend.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode > 299 {
		t.Errorf("%s %s: %s %s %v", method, path, res.Status, text, err)
	}
}

// answers asks everything once.
func (w *world) answers(t *testing.T) {
	name := fmt.Sprintf("friend-%d", w.made.Add(1))
	w.ask(t, "POST", maps, `{"metadata":{"name":"`+name+`"}}`)
	w.ask(t, "GET", maps+"/"+name, "")
	w.ask(t, "GET", maps+"?limit=10", "")
	w.ask(t, "DELETE", maps+"/"+name, "")
	w.ask(t, "GET", "/readyz", "")
	if _, err := api.Namespaces.Get(t.Context(), w.native, api.Key{Name: "default"}); err != nil {
		t.Error(err)
	}
}

// besieged runs a siege. It hands out what ends it; until then friends are answered, and afterwards everything is as it was.
func (w *world) besieged(t *testing.T, siege func(t *testing.T) (lift func())) {
	before := measure()
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				stopped <- n
				return
			default:
				w.answers(t)
			}
		}
	}()
	lift := siege(t)
	height := measure()
	for range 20 {
		w.answers(t)
	}
	close(stop)
	rounds := <-stopped
	lift()
	after := measure()
	for until := time.Now().Add(3 * time.Minute); !after.near(before) && time.Now().Before(until); after = measure() {
		runtime.Gosched()
	}
	if !after.near(before) {
		var stacks bytes.Buffer
		all := make([]byte, 1<<20)
		stacks.Write(all[:runtime.Stack(all, true)])
		t.Errorf("not all was given back: %v before, %v after\n%.20000s", before, after, stacks.String())
	}
	t.Logf("before: %v; at its height: %v; after: %v; friends were answered %d times", before, height, after, 6*(20+rounds))
}

type counts struct {
	goroutines, files int
	heap              uint64
}

func (c counts) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d MiB", c.goroutines, c.files, c.heap>>20)
}

// near is generous: what is kept for later, pools and idle connections, is no leak.
func (c counts) near(before counts) bool {
	return c.goroutines <= before.goroutines+30 && c.files <= before.files+15 && c.heap <= before.heap+before.heap/2+(24<<20)
}

func measure() counts {
	debug.FreeOSMemory() // pools are emptied by the second collection
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, _ := os.ReadDir("/proc/self/fd")
	return counts{runtime.NumGoroutine(), len(files), m.HeapAlloc}
}

// crowd does something many times, by eight at once.
func crowd(n int, do func(i int)) {
	var g sync.WaitGroup
	var next atomic.Int64
	for range 8 {
		g.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				do(int(i) - 1)
			}
		})
	}
	g.Wait()
}

// closers are connections to be broken off at the end.
type closers struct {
	mu  sync.Mutex
	all []io.Closer
}

func (c *closers) add(x io.Closer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, x)
}

func (c *closers) lift() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.all {
		x.Close()
	}
	c.all = nil
}

// roomFor lowers a number of connections, of which both ends are here, to what this process may have.
func roomFor(t *testing.T, n int) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if most := int(limit.Cur)/2 - 500; n > most {
		t.Logf("%d connections instead of %d: ulimit -n is %d", most, n, limit.Cur)
		return slices.Max([]int{most, 1})
	}
	return n
}
