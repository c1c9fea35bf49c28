package rest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"optimist/internal/api"
)

// echo is a Service whose every stream gives back what it is sent.
type echo struct{ api.Service }

func (echo) Connect(ctx context.Context, t api.Target, q url.Values) (api.Stream, error) {
	m := &mirror{ctx: ctx, sent: make(chan api.Frame), shut: make(chan struct{})}
	if t.Sub == "portforward" && !q.Has("port") { // whether it could be done
		return m, m.CloseSend()
	}
	return m, nil
}

type mirror struct {
	ctx  context.Context
	sent chan api.Frame
	shut chan struct{}
	once sync.Once
}

func (m *mirror) Send(f api.Frame) error {
	select {
	case m.sent <- f:
		return nil
	case <-m.ctx.Done():
		return m.ctx.Err()
	}
}

func (m *mirror) CloseSend() error { m.once.Do(func() { close(m.shut) }); return nil }

func (m *mirror) Recv() (api.Frame, error) {
	select {
	case f := <-m.sent:
		return api.Frame{Channel: api.ChannelStdout, Data: f.Data}, nil
	case <-m.shut:
		return api.Frame{}, io.EOF
	case <-m.ctx.Done():
		return api.Frame{}, m.ctx.Err()
	}
}

// hijacked is an answer whose connection can be taken.
type hijacked struct {
	header http.Header
	conn   net.Conn
	code   int
}

func (h *hijacked) Header() http.Header         { return h.header }
func (h *hijacked) Write(p []byte) (int, error) { return len(p), nil }
func (h *hijacked) WriteHeader(code int)        { h.code = code }
func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// FuzzFrames: whatever comes on a connection that became a stream, be it WebSocket, SPDY, or SPDY within WebSocket, its handler ends when its client does.
func FuzzFrames(f *testing.F) {
	masked := func(payload ...byte) []byte {
		return append([]byte{0x82, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
	}
	settings := []byte{0x80, 3, 0, 4, 0, 0, 0, 12, 0, 0, 0, 1, 1, 0, 0, 7, 0, 0, 0, 100}
	stream := []byte{0x80, 3, 0, 1, 1, 0, 0, 18, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2, 0x02, 0x65}
	for way := range uint(5) {
		for _, seed := range [][]byte{nil, masked(0, 'h', 'i'), masked(255, 0), masked(4, '{', '}'), masked(settings...), settings, stream, masked(stream...), {0x88, 0x80, 0, 0, 0, 0}, {0, 0, 0, 1, 1, 0, 0, 2, 'h', 'i'}, {0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1}} {
			f.Add(way, seed)
		}
	}
	s := New(Config{Service: echo{}, Catalogue: api.Builtin, Log: slog.New(slog.DiscardHandler),
		Identify: func(context.Context, tls.ConnectionState, string, net.Addr) (api.User, error) {
			return api.User{Name: "a"}, nil
		}})
	f.Fuzz(func(t *testing.T, way uint, data []byte) {
		sub, upgrade, protocol := "exec?stdin=1&stdout=1&command=x", "websocket", execProtocols[0]
		switch way % 5 {
		case 1:
			upgrade, protocol = spdy31, spdyExec
		case 2:
			sub, upgrade, protocol = "portforward", spdy31, spdyForward
		case 3:
			sub, protocol = "portforward", spdy31+"+"+spdyForward
		case 4: // the head is what comes from outside
			protocol, data = string(data), nil
		}
		r, err := http.NewRequestWithContext(t.Context(), "GET", "/api/v1/namespaces/default/pods/p/"+sub, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {upgrade}, protocols: {protocol}, "Sec-Websocket-Protocol": {protocol}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
		near, far := net.Pipe()
		go func() {
			go func() { _, _ = io.Copy(io.Discard, near) }() // until it ends
			_, _ = io.Copy(near, bytes.NewReader(data))
			near.Close()
		}()
		w := &hijacked{http.Header{}, far, 0}
		s.ServeHTTP(w, r)
		if far.Close(); w.code == http.StatusInternalServerError {
			t.Errorf("%s %q: %d", sub, strings.ToValidUTF8(protocol, "?"), w.code)
		}
	})
}
