package clients

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/httpstream"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
)

func address(c *restclient.Config, sub, query string) *url.URL {
	u, err := url.Parse(c.Host + "/api/v1/namespaces/default/pods/" + sub)
	if err != nil {
		panic(err)
	}
	u.RawQuery = query
	return u
}

// executors are the two ways of kubectl exec: newer ones first try the first.
var executors = map[string]func(c *restclient.Config, u *url.URL) (remotecommand.Executor, error){
	"websocket": func(c *restclient.Config, u *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewWebSocketExecutor(c, "GET", u.String())
	},
	"spdy": func(c *restclient.Config, u *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewSPDYExecutor(c, "POST", u)
	},
}

func run(ctx context.Context, c *restclient.Config, way, query string, o remotecommand.StreamOptions) error {
	e, err := executors[way](c, address(c, "p/exec", query))
	if err != nil {
		return err
	}
	return e.StreamWithContext(ctx, o)
}

type sizes chan remotecommand.TerminalSize

func (s sizes) Next() *remotecommand.TerminalSize {
	if size, ok := <-s; ok {
		return &size
	}
	return nil
}

func TestExec(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 200_000)
	for way := range executors {
		t.Run(way, func(t *testing.T) {
			_, c := aDoor(t)
			for _, row := range []struct {
				name, query, stdin string
				out, err           string // the beginning
				length             int    // of out
				fails              string
				code               int
			}{
				{"standard input has an end", "command=cat&stdin=true&stdout=true", big, "0123", "", len(big), "", 0},
				{"no input", "command=cat&stdin=true&stdout=true", "", "", "", 0, "", 0},
				{"an exit code", "command=exit&command=3&stdout=true", "", "", "", 0, "command terminated with exit code 3", 3},
				{"two outputs", "command=both&stdout=true&stderr=true", "", "out 0 ooo", "err 0 eee", 1_010_890 - 2000, "", 0},
				{"only the one asked for", "command=both&stderr=true", "", "", "err 0 eee", 0, "", 0},
				{"input that nobody reads", "command=deaf&stdin=true&stdout=true", big, "I do not listen\n", "", 16, "", 0},
				{"no such program", "command=nonsense&stdout=true", "", "", "", 0, "executable file not found", 0},
				{"nothing to hear", "command=cat", "", "", "", 0, "you must specify at least 1 of stdin, stdout, stderr", 0},
				{"no such container", "command=cat&stdout=true&container=x", "", "", "", 0, "container x is not valid for pod p", 0},
			} {
				var out, errOut bytes.Buffer
				o := remotecommand.StreamOptions{}
				q, _ := url.ParseQuery(row.query)
				if q.Has("stdin") {
					o.Stdin = strings.NewReader(row.stdin)
				}
				if q.Has("stdout") {
					o.Stdout = &out
				}
				if q.Has("stderr") {
					o.Stderr = &errOut
				}
				err := run(t.Context(), c, way, row.query, o)
				var code exec.CodeExitError
				switch {
				case row.fails == "" && err != nil, row.fails != "" && (err == nil || !strings.Contains(err.Error(), row.fails)):
					if way != "websocket" || !strings.Contains(fmt.Sprint(err), "bad handshake") { // client-go hides why: kubectl then tries SPDY, which tells
						t.Errorf("%s: %v; want %q", row.name, err, row.fails)
					}
				case row.code != 0 && (!errors.As(err, &code) || code.Code != row.code):
					t.Errorf("%s: %v; want exit code %d", row.name, err, row.code)
				case !strings.HasPrefix(out.String(), row.out) || !strings.HasPrefix(errOut.String(), row.err) || row.length > 0 && out.Len() != row.length:
					t.Errorf("%s: %d bytes of output: %.20q, %.20q", row.name, out.Len(), out.String(), errOut.String())
				}
			}
		})
	}
}

func TestTerminal(t *testing.T) {
	for way := range executors {
		t.Run(way, func(t *testing.T) {
			_, c := aDoor(t)
			var out bytes.Buffer
			told := make(sizes)
			in, typed := io.Pipe()
			defer typed.Close()
			heard := writerFunc(func(p []byte) (int, error) {
				if out.Write(p); strings.Count(out.String(), "\n") == 1 {
					told <- remotecommand.TerminalSize{Width: 120, Height: 50}
				}
				return len(p), nil
			})
			go func() { told <- remotecommand.TerminalSize{Width: 80, Height: 24} }()
			defer close(told)
			err := run(t.Context(), c, way, "command=sizes&stdin=true&stdout=true&tty=true", remotecommand.StreamOptions{Stdin: in, Stdout: heard, Tty: true, TerminalSizeQueue: told})
			if err != nil || out.String() != "80x24\n120x50\n" {
				t.Errorf("%q, %v", out.String(), err)
			}
		})
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestAHundredAtOnce(t *testing.T) {
	for way := range executors {
		t.Run(way, func(t *testing.T) {
			_, c := aDoor(t)
			var g errgroup.Group
			for i := range 100 {
				g.Go(func() error {
					var out bytes.Buffer
					want := fmt.Sprintf("I am %d", i)
					err := run(t.Context(), c, way, "command=cat&stdin=true&stdout=true", remotecommand.StreamOptions{Stdin: strings.NewReader(want), Stdout: &out})
					if err == nil && out.String() != want {
						err = fmt.Errorf("%q instead of %q", out.String(), want)
					}
					return err
				})
			}
			if err := g.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Whoever leaves takes his process along: aDoor looks whether one, or a goroutine, is left.
func TestTheClientLeaves(t *testing.T) {
	for way := range executors {
		for _, command := range []string{"yes", "wait"} {
			t.Run(way+" "+command, func(t *testing.T) {
				n, c := aDoor(t)
				ctx, leave := context.WithCancel(t.Context())
				done := make(chan error)
				go func() {
					done <- run(ctx, c, way, "command="+command+"&stdout=true", remotecommand.StreamOptions{Stdout: io.Discard})
				}()
				for n.alive.Load() == 0 {
				}
				leave()
				<-done
			})
		}
	}
}

func TestFourthProtocol(t *testing.T) {
	_, c := aDoor(t)
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Subprotocols: []string{"v3.channel.k8s.io", "v4.channel.k8s.io"}}
	u := address(c, "p/exec", "command=exit&command=7&stdout=true")
	u.Scheme = "wss"
	conn, answer, err := dialer.Dial(u.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, m, err := conn.ReadMessage()
	if err != nil || m[0] != 3 || !bytes.Contains(m, []byte(`"reason":"ExitCode","message":"7"`)) || answer.Header.Get("Sec-Websocket-Protocol") != "v4.channel.k8s.io" {
		t.Errorf("%q, %v", m, err)
	}
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Error(err)
	}
	dialer.Subprotocols = []string{"v9.channel.k8s.io"}
	_, answer, err = dialer.Dial(u.String(), nil)
	if err == nil || answer.StatusCode != http.StatusBadRequest {
		t.Errorf("an unknown protocol: %v", err)
	}
}

// echo reads all, then says it back.
func echo(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				all, _ := io.ReadAll(c)
				_, _ = c.Write(all)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

var forwarders = map[string]func(c *restclient.Config, u *url.URL) (httpstream.Dialer, error){
	"websocket": func(c *restclient.Config, u *url.URL) (httpstream.Dialer, error) {
		return portforward.NewSPDYOverWebsocketDialer(u, c)
	},
	"spdy": func(c *restclient.Config, u *url.URL) (httpstream.Dialer, error) {
		transport, upgrader, err := spdy.RoundTripperFor(c)
		return spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", u), err
	},
}

func TestPortForward(t *testing.T) {
	for way := range forwarders {
		t.Run(way, func(t *testing.T) {
			port := echo(t)
			_, c := aDoor(t)
			dialer, err := forwarders[way](c, address(c, "p/portforward", ""))
			if err != nil {
				t.Fatal(err)
			}
			stop, ready := make(chan struct{}), make(chan struct{})
			f, err := portforward.New(dialer, []string{fmt.Sprintf(":%d", port)}, stop, ready, io.Discard, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- f.ForwardPorts() }()
			defer func() { close(stop); <-done }()
			select {
			case <-ready:
			case err := <-done:
				t.Fatal(err)
			}
			ports, err := f.GetPorts()
			if err != nil {
				t.Fatal(err)
			}
			var g errgroup.Group
			for i := range 50 {
				g.Go(func() error { return talk(int(ports[0].Local), bytes.Repeat([]byte{byte(i)}, 100_000)) })
			}
			if err := g.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func talk(port int, text []byte) error {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(text); err != nil {
		return err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(conn)
	if err == nil && !bytes.Equal(got, text) {
		err = fmt.Errorf("%d bytes of %d came back", len(got), len(text))
	}
	return err
}

// kubectl ends when nobody listens behind one of its connections, and says why.
func TestNobodyListens(t *testing.T) {
	for way := range forwarders {
		t.Run(way, func(t *testing.T) {
			_, c := aDoor(t)
			dialer, err := forwarders[way](c, address(c, "p/portforward", ""))
			if err != nil {
				t.Fatal(err)
			}
			conn, _, err := dialer.Dial("portforward.k8s.io")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			port := unused(t)
			header := http.Header{"Streamtype": {"error"}, "Port": {port}, "Requestid": {"0"}}
			failure, err := conn.CreateStream(header)
			if err != nil {
				t.Fatal(err)
			}
			header.Set("streamType", "data")
			if _, err = conn.CreateStream(header); err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(failure)
			if want := "error forwarding port " + port + " to pod p: failed to connect to localhost:" + port; err != nil || !strings.HasPrefix(string(text), want) || !strings.Contains(string(text), "connection refused") {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
}

func unused(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func TestMoreStreamsThanThereIsRoomFor(t *testing.T) {
	_, c := aDoor(t)
	dialer, err := forwarders["spdy"](c, address(c, "p/portforward", ""))
	if err != nil {
		t.Fatal(err)
	}
	conn, _, err := dialer.Dial("portforward.k8s.io")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 512 {
		if _, err := conn.CreateStream(http.Header{"Streamtype": {"error"}, "Requestid": {strconv.Itoa(i)}}); err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
	}
	if _, err := conn.CreateStream(http.Header{"Streamtype": {"error"}, "Requestid": {"more"}}); err == nil {
		t.Error("one more was taken")
	}
}

// Nobody needs to be in the pod for the answer to be a Status.
func TestRefusals(t *testing.T) {
	_, c := aDoor(t)
	client, err := restclient.HTTPClientFor(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ method, path, want string }{
		{"GET", "p/log?container=x", `400 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"container x is not valid for pod p, choose one of: [c]","reason":"BadRequest","code":400}`},
		{"GET", "q/log", `404 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods \"q\" not found","reason":"NotFound","details":{"name":"q","kind":"pods"},"code":404}`},
		{"POST", "p/log", `405 {"kind":"Status"`},
		{"POST", "p/exec?command=cat&stdout=1", `400 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Upgrade request required"`},
		{"POST", "p/portforward", `400 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Upgrade request required"`},
		{"GET", "p:" + unused(t) + "/proxy/", `503 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"error trying to reach service: dial tcp 127.0.0.1:`},
		{"GET", "p/log?tailLines=1&follow=false&pretty=true", "200 two\n"},
	} {
		r, _ := http.NewRequest(row.method, address(c, "", "").String()+row.path, nil)
		a, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(a.Body)
		a.Body.Close()
		if got := strconv.Itoa(a.StatusCode) + " " + string(body); !strings.HasPrefix(got, row.want) {
			t.Errorf("%s %s: %s", row.method, row.path, got)
		}
	}
}

// What is there comes at once; the end of the client is the end of the stream.
func TestFollow(t *testing.T) {
	_, c := aDoor(t)
	client, err := restclient.HTTPClientFor(c)
	if err != nil {
		t.Fatal(err)
	}
	a, err := client.Get(address(c, "p/log", "follow=true").String())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	got := make([]byte, len("one\ntwo\n"))
	if _, err := io.ReadFull(a.Body, got); err != nil || string(got) != "one\ntwo\n" || a.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("%q, %v, %v", got, err, a.Header)
	}
}

func TestProxy(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %q %v", r.Method, r.RequestURI, body, r.Header.Get("Authorization"), r.TLS != nil)
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/there", http.StatusFound) })
	mux.HandleFunc("/socket", func(w http.ResponseWriter, r *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		kind, m, err := conn.ReadMessage()
		if err == nil {
			_ = conn.WriteMessage(kind, append([]byte("you said "), m...))
		}
	})
	plain, secure := httptest.NewServer(mux), httptest.NewTLSServer(mux)
	defer plain.Close()
	defer secure.Close()
	_, c := aDoor(t)
	at := func(s *httptest.Server) string {
		_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
		return "p:" + port
	}
	client, err := restclient.HTTPClientFor(c)
	if err != nil {
		t.Fatal(err)
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, row := range []struct{ method, path, want string }{
		{"GET", at(plain) + "/proxy/a%2Fb/c?d=e", `GET /a%2Fb/c?d=e  "" false`},
		{"DELETE", "http:" + at(plain) + "/proxy/", `DELETE /  "" false`},
		{"POST", at(plain) + "/proxy", `POST / body "" false`},
		{"PUT", "https:" + at(secure) + "/proxy/x", `PUT /x body "" true`},
		{"GET", at(plain) + "/proxy?q=1", "→ /api/v1/namespaces/default/pods/" + at(plain) + "/proxy/?q=1"},
		{"GET", at(plain) + "/proxy/away", "→ /there"},
		{"GET", at(secure) + "/proxy/", "Client sent an HTTP request to an HTTPS server.\n"},
	} {
		var body io.Reader
		if row.method[0] == 'P' {
			body = strings.NewReader("body")
		}
		r, _ := http.NewRequest(row.method, address(c, "", "").String()+row.path, body)
		a, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(a.Body)
		a.Body.Close()
		got := string(text)
		if to := a.Header.Get("Location"); to != "" {
			got = "→ " + to
		}
		if got != row.want {
			t.Errorf("%s %s: %s; want %s", row.method, row.path, got, row.want)
		}
	}
	u := address(c, at(plain)+"/proxy/socket", "")
	u.Scheme = "wss"
	conn, _, err := (&websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}).Dial(u.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, m, err := conn.ReadMessage(); err != nil || string(m) != "you said hello" {
		t.Errorf("%q, %v", m, err)
	}
}
