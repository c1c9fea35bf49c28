package siege

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/wire"
)

const (
	preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" // and empty settings
	host    = " HTTP/1.1\r\nHost: siege\r\n"
)

func TestSiege(t *testing.T) {
	w := build(t)
	for _, row := range []struct {
		name  string
		siege func(*world, *testing.T) func()
	}{
		{"idle", (*world).idle}, {"slow heads", (*world).heads}, {"slow bodies", (*world).bodies}, {"burst", (*world).burst}, {"large bodies", (*world).large},
		{"watches", (*world).watches}, {"slow readers", (*world).readers}, {"vanishing streams", (*world).streams}, {"strangers", (*world).strangers},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.besieged(t, func(t *testing.T) func() { return row.siege(w, t) })
		})
	}
}

// idle: connections of all kinds that say little or nothing.
func (w *world) idle(t *testing.T) func() {
	var all closers
	crowd(roomFor(t, many(500, 5000)), func(i int) {
		if i%10 == 9 { // does not even begin with TLS
			conn, err := net.Dial("tcp", w.addr)
			if err != nil {
				t.Error(err)
				return
			}
			all.add(conn)
			return
		}
		kind := []struct{ user, protocol, says string }{{hostile, "h2", preface}, {hostile, "http/1.1", "GET /version" + host + "\r\n"}, {hostile, wire.ALPN, preface}, {"", "h2", preface}, {"", "http/1.1", ""}, {"", wire.ALPN, ""}}[i%6]
		conn := w.dial(t, kind.user, kind.protocol)
		all.add(conn)
		if _, err := io.WriteString(conn, kind.says); err != nil {
			t.Error(err)
		}
		if kind.protocol == "http/1.1" && kind.says != "" {
			if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != 200 {
				t.Error(res, err)
			}
		}
	})
	return all.lift
}

// heads: requests whose heads never end.
func (w *world) heads(t *testing.T) func() {
	var all closers
	crowd(roomFor(t, many(300, 2000)), func(i int) {
		conn := w.dial(t, []string{"", hostile}[i%2], "http/1.1")
		all.add(conn)
		if _, err := io.WriteString(conn, "GET "+maps+host+"X-Slow: "+strings.Repeat("a", i%4000)); err != nil {
			t.Error(err)
		}
	})
	return all.lift
}

const own = 200 // requests of one user at once

// bodies: as many unfinished bodies as a user may have under way, and as many of strangers; the next are told to wait, and the others answered once they
// are finished.
func (w *world) bodies(t *testing.T) func() {
	var finish [2]func()
	for i, user := range []string{hostile, ""} {
		refused := 0
		if finish[i], refused = w.hold(t, user, own+50); refused != 50 {
			t.Errorf("%q: %d of 50 were told to wait", user, refused)
		}
	}
	return func() { finish[0](); finish[1]() }
}

// hold sends the beginnings of n bodies, and returns what sends the rest.
func (w *world) hold(t *testing.T, user string, n int) (finish func(), refused int) {
	outcome := map[string]int{hostile: http.StatusCreated, "": http.StatusForbidden}[user]
	var all closers
	var finished sync.WaitGroup
	answers, now := make(chan int), make(chan struct{})
	for range n {
		conn := w.dial(t, user, "http/1.1")
		all.add(conn)
		body := fmt.Sprintf(`{"metadata":{"name":"slow-%d"}}`, w.made.Add(1))
		if _, err := fmt.Fprintf(conn, "POST %s?dryRun=All%sContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", maps, host, len(body)); err != nil {
			t.Fatal(err)
		}
		finished.Go(func() {
			in := bufio.NewReader(conn)
			res, err := http.ReadResponse(in, nil) // 100: it has a place, and its body is read
			if err != nil {
				t.Error(err)
				answers <- 0
				return
			}
			answers <- res.StatusCode
			if res.StatusCode != http.StatusContinue {
				if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "1" {
					t.Error(res)
				}
				return
			}
			_, _ = io.WriteString(conn, body[:5])
			<-now
			_, _ = io.WriteString(conn, body[5:])
			if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != outcome {
				t.Error(res, err)
			}
		})
	}
	for range n {
		if <-answers == http.StatusTooManyRequests {
			refused++
		}
	}
	return func() { close(now); finished.Wait(); all.lift() }, refused
}

// burst: very many requests of somebody who has all under way that he may have. Each is told to come again, and once there is room it is answered.
func (w *world) burst(t *testing.T) func() {
	var all closers
	finish, _ := w.hold(t, hostile, own)
	c := w.client(hostile, "h2", &all)
	now := make(chan struct{})
	var told, answered sync.WaitGroup
	for range many(300, 5000) {
		told.Add(1)
		answered.Go(func() {
			for first := true; ; first = false {
				res, err := c.Get("https://" + w.addr + maps + "?limit=1")
				if err == nil {
					_, err = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				full := err == nil && res.StatusCode == http.StatusTooManyRequests && res.Header.Get("Retry-After") == "1"
				if first {
					told.Done()
					<-now
				}
				if full {
					continue
				}
				if first || err != nil || res.StatusCode != http.StatusOK {
					t.Error(first, res, err)
				}
				return
			}
		})
	}
	told.Wait()
	return func() { finish(); close(now); answered.Wait(); all.lift() }
}

// large: bodies of 100 MB are refused by their size, or as soon as it is plain, and not read.
func (w *world) large(t *testing.T) func() {
	const size, most = 100 << 20, 20 << 20 // most lies in buffers
	var all closers
	crowd(many(8, 100), func(i int) {
		conn := w.dial(t, hostile, "http/1.1")
		all.add(conn)
		length := []string{fmt.Sprintf("Content-Length: %d", size), "Transfer-Encoding: chunked"}[i%2]
		method, path, media := "POST", maps, []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"}[i%3]
		if i%4 > 1 {
			method, path, media = "PATCH", maps+"/a", "application/merge-patch+json"
		}
		if _, err := fmt.Fprintf(conn, "%s %s%sContent-Type: %s\r\n%s\r\n\r\n", method, path, host, media, length); err != nil {
			t.Error(err)
		}
		sent := make(chan int)
		go func() {
			chunk := strings.Repeat("x", 64<<10)
			if i%2 == 1 {
				chunk = fmt.Sprintf("%x\r\n%s\r\n", len(chunk), chunk)
			}
			n := 0
			for n < size {
				m, err := io.WriteString(conn, chunk)
				if n += m; err != nil {
					break
				}
			}
			sent <- n
		}()
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		conn.NetConn().Close()
		if n := <-sent; err != nil || res.StatusCode != http.StatusRequestEntityTooLarge || n > most {
			t.Errorf("after %d bytes: %v, %v", n, res, err)
		}
	})
	var read atomic.Int64 // the same by HTTP/2
	body := struct{ io.Reader }{io.TeeReader(io.LimitReader(zeros{}, size), counter{&read})}
	r, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+w.addr+maps, body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.client(hostile, "h2", &all).Do(r)
	if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge || read.Load() > most {
		t.Error(res, read.Load(), err)
	} else {
		res.Body.Close()
	}
	_, err = api.ConfigMaps.Create(t.Context(), w.native, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "x"}, Data: map[string]string{"x": strings.Repeat("x", size)}})
	if !apierrors.IsRequestEntityTooLargeError(err) && !apierrors.IsTooManyRequests(err) {
		t.Errorf("natively: %.300v", err)
	}
	return all.lift
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

type counter struct{ *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) { c.Add(int64(len(p))); return len(p), nil }

// watches: very many that never end. All are told of what happens.
func (w *world) watches(t *testing.T) func() {
	n := many(500, 2000)
	var all closers
	bodies := make([]io.ReadCloser, n)
	clients := make([]*http.Client, 10)
	for i := range clients {
		clients[i] = w.client(hostile, []string{"h2", "http/1.1"}[i/9], &all)
	}
	crowd(n, func(i int) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+w.addr+"/api/v1/namespaces/default/endpoints?watch=1&resourceVersion=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := clients[i%10].Do(r)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(res, err)
		}
		bodies[i] = res.Body
	})
	w.ask(t, "POST", "/api/v1/namespaces/default/endpoints", fmt.Sprintf(`{"metadata":{"name":"seen-%d"}}`, w.made.Add(1)))
	crowd(n, func(i int) {
		if line, err := bufio.NewReader(bodies[i]).ReadString('\n'); err != nil || !strings.Contains(line, `"ADDED"`) {
			t.Errorf("%q %v", line, err)
		}
	})
	return func() {
		all.lift()
		for i := range bodies {
			bodies[i].Close()
		}
	}
}

// readers: clients who ask for a lot, and do not take it.
func (w *world) readers(t *testing.T) func() {
	var all closers
	secrets := "/api/v1/namespaces/default/secrets"
	big := strings.Repeat("QUJD", 10<<10)
	crowd(many(50, 150), func(int) {
		w.ask(t, "POST", secrets, fmt.Sprintf(`{"metadata":{"name":"big-%d","labels":{"siege":"1"}},"data":{"x":"%s"}}`, w.made.Add(1), big))
	})
	for i := range many(40, own-20) {
		conn := w.dial(t, hostile, "http/1.1")
		all.add(conn)
		if err := conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Error(err)
		}
		path := secrets
		if i%2 == 1 {
			path += "?watch=1"
		}
		if _, err := io.WriteString(conn, "GET "+path+host+"\r\n"); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 100)); err != nil {
			t.Error(err)
		}
	}
	crowd(many(50, 150), func(int) {
		w.ask(t, "POST", secrets, fmt.Sprintf(`{"metadata":{"name":"big-%d","labels":{"siege":"1"}},"data":{"x":"%s"}}`, w.made.Add(1), big))
	})
	w.ask(t, "DELETE", secrets+"?labelSelector=siege", "")
	return all.lift
}

// streams: exec and port-forward, whose clients vanish without a word.
func (w *world) streams(t *testing.T) func() {
	n := many(150, 600)
	var all closers
	crowd(n, func(i int) {
		conn := w.dial(t, hostile, "http/1.1")
		all.add(vanishing{conn.NetConn().(*net.TCPConn)})
		path := "/api/v1/namespaces/default/pods/p/"
		switch i % 3 {
		case 0:
			d := websocket.Dialer{NetDialTLSContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }, Subprotocols: []string{"v5.channel.k8s.io"}}
			if _, res, err := d.DialContext(t.Context(), "wss://"+w.addr+path+"exec?command=x&stdout=1&stdin=1", nil); err != nil {
				t.Error(res, err)
			}
		case 1, 2:
			protocol, sub := "v4.channel.k8s.io", "exec?command=x&stdout=1"
			if i%3 == 2 {
				protocol, sub = "portforward.k8s.io", "portforward"
			}
			_, err := fmt.Fprintf(conn, "POST %s%sConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: %s\r\n\r\n", path+sub, host, protocol)
			res, rerr := http.ReadResponse(bufio.NewReader(conn), nil)
			if err = errors.Join(err, rerr); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
				t.Error(res, err)
			}
		}
	})
	if w.open.Load() < int64(n/3) {
		t.Errorf("only %d streams", w.open.Load())
	}
	return func() {
		all.lift()
		for w.open.Load() > 0 { // or the test's time limit tells
			_ = measure()
		}
	}
}

// vanishing is a connection whose end the other side sees as a reset.
type vanishing struct{ *net.TCPConn }

func (v vanishing) Close() error {
	return errors.Join(v.SetLinger(0), v.TCPConn.Close())
}

// strangers: who has shown nothing cannot make the native door keep messages for him: his calls are refused before they are read.
func (w *world) strangers(t *testing.T) func() {
	var all closers
	crowd(many(20, 200), func(int) {
		conn := w.dial(t, "", wire.ALPN)
		all.add(conn)
		var head strings.Builder
		encode := func(name, value string) { // RFC 7541, 6.2.2: a literal, with a new name
			fmt.Fprintf(&head, "\x00%c%s%c%s", rune(len(name)), name, rune(len(value)), value)
		}
		for _, field := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":path", "/optimist.v1.Objects/Write"}, {":authority", "siege"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
			encode(field[0], field[1])
		}
		frame := func(kind, flags byte, stream uint32, payload string) string {
			n := len(payload)
			return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, 0, 0, 0, byte(stream)}) + payload
		}
		message := "\x00\x00\x7f\xff\xff" // the head of one of 8 MB
		if _, err := io.WriteString(conn, preface+frame(1, 4, 1, head.String())+frame(0, 0, 1, message+strings.Repeat("x", 1000))); err != nil {
			t.Error(err)
		}
		for in := bufio.NewReader(conn); ; {
			var h [9]byte
			if _, err := io.ReadFull(in, h[:]); err != nil {
				t.Errorf("no refusal came: %v", err)
				return
			}
			payload := make([]byte, int(h[0])<<16|int(h[1])<<8|int(h[2]))
			if _, err := io.ReadFull(in, payload); err != nil {
				t.Error(err)
				return
			}
			if h[3] == 1 && h[4]&1 != 0 { // headers that end the stream: trailers only
				return
			}
		}
	})
	return all.lift
}
