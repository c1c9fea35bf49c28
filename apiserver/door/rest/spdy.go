package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/moby/spdystream"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
	"optimist/internal/wire"
)

const (
	maxStreams  = 512              // at once on one connection, a pair for each forwarded connection; more are reset
	streamsTime = 30 * time.Second // for a client to open the streams that belong together
	spdy31      = "SPDY/3.1"
	spdyForward = "portforward.k8s.io"
	spdyExec    = "v4.channel.k8s.io"
	protocols   = "X-Stream-Protocol-Version"
)

func join(words []string) string { return strings.Join(words, ", ") }

// asksSPDY looks whether a request asks for SPDY and for one protocol on it.
func asksSPDY(w http.ResponseWriter, r *http.Request, ours string) error {
	if !strings.Contains(strings.ToLower(r.Header.Get("Connection")), "upgrade") || !strings.EqualFold(r.Header.Get("Upgrade"), spdy31) || r.ProtoMajor != 1 {
		return apierrors.NewBadRequest("Upgrade request required")
	}
	var asked []string
	for _, line := range r.Header.Values(protocols) {
		for p := range strings.SplitSeq(line, ",") {
			asked = append(asked, strings.TrimSpace(p))
		}
	}
	err := speaks(asked, []string{ours})
	if err != nil {
		w.Header().Add("X-Accepted-Stream-Protocol-Versions", ours)
		err = failure(http.StatusForbidden, "", err.Error())
	}
	return err
}

// upgradeSPDY answers 101 and takes the connection; nil if the client has left.
func upgradeSPDY(w http.ResponseWriter, protocol string) (net.Conn, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("unable to upgrade: %w", err))
	}
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s: %s\r\n\r\n", spdy31, protocols, protocol)
	if err != nil {
		conn.Close()
		return nil, nil // there is nobody to tell
	}
	return &unread{conn, buffered.Reader}, nil
}

// unread is a connection of which something was read ahead.
type unread struct {
	net.Conn
	from *bufio.Reader
}

func (u *unread) Read(p []byte) (int, error) { return u.from.Read(p) }

// session is a SPDY connection, and what is open on it.
type session struct {
	*spdystream.Connection
	conn   net.Conn
	opened chan *spdystream.Stream // by the client
	mu     sync.Mutex              // guards open
	open   map[*spdystream.Stream]bool
	gone   chan struct{} // closed when nothing more can come
}

func newSession(conn net.Conn) (*session, error) {
	c, err := spdystream.NewConnection(conn, true)
	if err != nil {
		conn.Close()
		return nil, err
	}
	s := &session{Connection: c, conn: conn, opened: make(chan *spdystream.Stream, maxStreams), open: map[*spdystream.Stream]bool{}, gone: make(chan struct{})}
	go func() {
		defer close(s.gone)
		s.Serve(s.accept)
	}()
	return s, nil
}

// accept must not block, or the whole connection stands still.
func (s *session) accept(stream *spdystream.Stream) {
	s.mu.Lock()
	room := len(s.open) < maxStreams
	s.open[stream] = true
	s.mu.Unlock()
	if room && stream.SendReply(http.Header{}, false) == nil {
		select {
		case s.opened <- stream:
			return
		default:
		}
	}
	s.drop(stream)
}

func (s *session) drop(stream *spdystream.Stream) {
	_ = stream.Reset() // fails only when the connection has
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, stream)
}

// leave waits for the client to go, and releases everything: a stream that nobody reads would hold the others.
func (s *session) leave(patience time.Duration) {
	select {
	case <-s.CloseChan():
	case <-time.After(patience):
	}
	s.conn.Close()
	for {
		s.mu.Lock()
		left := slices.Collect(maps.Keys(s.open))
		s.mu.Unlock()
		for _, stream := range left {
			s.drop(stream)
		}
		select {
		case <-s.gone:
			return
		case stream := <-s.opened: // the last before the connection closed
			s.drop(stream)
		}
	}
}

// process is a client of exec that speaks SPDY: a stream for each channel.
type process struct {
	*session
	streams map[string]*spdystream.Stream
}

// channelNames are the types of the streams to the client.
var channelNames = map[api.Channel]string{api.ChannelStdout: "stdout", api.ChannelStderr: "stderr", api.ChannelError: "error"}

// openSPDY returns nil if the client has left, or does not open the streams that it spoke of.
func openSPDY(w http.ResponseWriter, q url.Values) (client, error) {
	conn, err := upgradeSPDY(w, spdyExec)
	if conn == nil {
		return nil, err
	}
	s, err := newSession(conn)
	if err != nil {
		return nil, nil
	}
	p := &process{s, map[string]*spdystream.Stream{}}
	expected := map[string]bool{"error": true, "stdin": on(q, "stdin"), "stdout": on(q, "stdout"), "stderr": on(q, "stderr") && !on(q, "tty"), "resize": on(q, "tty")}
	maps.DeleteFunc(expected, func(_ string, wanted bool) bool { return !wanted })
	for late := time.After(streamsTime); len(p.streams) < len(expected); {
		select {
		case stream := <-s.opened:
			if kind := stream.Headers().Get("streamType"); expected[kind] && p.streams[kind] == nil {
				p.streams[kind] = stream
			} else {
				s.drop(stream)
			}
			continue
		case <-s.CloseChan():
		case <-late:
		}
		s.leave(0)
		return nil, nil
	}
	return p, nil
}

func (p *process) Send(f api.Frame) error {
	_, err := p.streams[channelNames[f.Channel]].Write(f.Data)
	return err
}

func (p *process) inward(to *sender, _ bool) {
	if in := p.streams["stdin"]; in != nil {
		go func() {
			_, _ = io.Copy(wire.Writer{Stream: to, Channel: api.ChannelStdin}, in) // until the client has said all, or has gone
			_ = to.CloseSend()
		}()
	}
	if sizes := p.streams["resize"]; sizes != nil {
		go func() {
			for d := json.NewDecoder(io.LimitReader(sizes, 1<<20)); ; {
				var size json.RawMessage
				if d.Decode(&size) != nil {
					return
				}
				_ = to.Send(api.Frame{Channel: api.ChannelResize, Data: size}) // it always takes it
			}
		}()
	}
	<-p.CloseChan()
}

func (p *process) end() {
	for _, kind := range channelNames {
		if stream := p.streams[kind]; stream != nil {
			_ = stream.Close() // fails only when the client has gone
		}
	}
	p.leave(lastWords)
}

// forward serves port-forward: for every connection the client opens a pair of streams with one request id. A pair that stays alone lasts as long as the
// connection; maxStreams bounds them.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, t api.Target) error {
	upgrade, err := forwarder(w, r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if err := wire.Forward(ctx, s.Service, t, nil, nil); err != nil { // could it be done?
		return err
	}
	conn, err := upgrade()
	if conn == nil {
		return err
	}
	on, err := newSession(conn)
	if err != nil {
		return nil
	}
	s.carryAll(ctx, cancel, t, on)
	return nil
}

// forwarder looks whether a request asks for SPDY, plain or through a WebSocket.
func forwarder(w http.ResponseWriter, r *http.Request) (func() (net.Conn, error), error) {
	tunnelled := []string{spdy31 + "+" + spdyForward}
	if !websocket.IsWebSocketUpgrade(r) {
		return func() (net.Conn, error) { return upgradeSPDY(w, spdyForward) }, asksSPDY(w, r, spdyForward)
	}
	return func() (net.Conn, error) {
		conn, err := upgradeWebSocket(w, r, tunnelled)
		if conn == nil {
			return nil, err
		}
		return &tunnel{Conn: conn}, nil
	}, speaks(websocket.Subprotocols(r), tunnelled)
}

// carryAll serves each pair of streams, until the client has gone or ctx ends.
func (s *Server) carryAll(ctx context.Context, cancel func(), t api.Target, on *session) {
	var busy sync.WaitGroup
	defer busy.Wait()
	defer on.leave(0)
	defer cancel()
	alone := map[string]pair{}
	for {
		select {
		case stream := <-on.opened:
			id := stream.Headers().Get("requestID")
			if p, ok := alone[id].with(stream); !ok {
				on.drop(stream)
			} else if alone[id] = p; p.data != nil && p.err != nil {
				delete(alone, id)
				busy.Go(func() { s.carry(ctx, t, on, p) })
			}
		case <-on.CloseChan():
			return
		case <-ctx.Done():
			return
		}
	}
}

// pair is a forwarded connection: what is sent both ways, and what went wrong.
type pair struct{ data, err *spdystream.Stream }

func (p pair) with(s *spdystream.Stream) (pair, bool) {
	switch kind := s.Headers().Get("streamType"); {
	case kind == "data" && p.data == nil:
		p.data = s
	case kind == "error" && p.err == nil:
		p.err = s
	default:
		return p, false
	}
	return p, true
}

// carry serves one forwarded connection.
func (s *Server) carry(ctx context.Context, t api.Target, on *session, p pair) {
	defer on.drop(p.err)
	defer on.drop(p.data)
	port := p.data.Headers().Get("port")
	if err := wire.Forward(ctx, s.Service, t, url.Values{"port": {port}}, half{p.data}); err != nil {
		_, _ = fmt.Fprintf(p.err, "error forwarding port %s to pod %s: %v", port, t.Key.Name, err) // who has gone needs no reason
	}
	_ = p.err.Close()
}

// half is a stream that can be closed by half. Once the client has reset it, writing fails: it hears no more.
type half struct{ *spdystream.Stream }

func (h half) CloseWrite() error { return h.Stream.Close() }

func (h half) Write(p []byte) (int, error) {
	if h.IsFinished() {
		return 0, io.ErrClosedPipe
	}
	return h.Stream.Write(p)
}
