package rest

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"optimist/internal/api"
	"optimist/internal/wire"
)

// execProtocols are the WebSocket subprotocols of exec and attach: each message begins with its channel. Only v5 can end a channel of the client's.
var execProtocols = []string{"v5.channel.k8s.io", "v4.channel.k8s.io"}

// closeSignal is the channel on which v5 says that another one ends.
const closeSignal = 255

// upgradeWebSocket leaves refusals to the caller.
func upgradeWebSocket(w http.ResponseWriter, r *http.Request, protocols []string) (*websocket.Conn, error) {
	var code int
	u := websocket.Upgrader{Subprotocols: protocols, Error: func(_ http.ResponseWriter, _ *http.Request, status int, _ error) { code = status }}
	w.Header().Del("Cache-Control")
	conn, err := u.Upgrade(w, r, nil)
	if err != nil && code != 0 {
		return nil, failure(int32(code), "", "unable to upgrade: "+err.Error())
	}
	return conn, nil // nil: the client has left
}

// socket is a client of exec that speaks WebSocket.
type socket struct {
	*websocket.Conn
	gone chan struct{} // closed when inward has ended
}

func openWebSocket(w http.ResponseWriter, r *http.Request, protocols []string) (client, error) {
	conn, err := upgradeWebSocket(w, r, protocols)
	if conn == nil {
		return nil, err
	}
	return &socket{conn, make(chan struct{})}, nil
}

func (s *socket) Send(f api.Frame) error {
	m, err := s.NextWriter(websocket.BinaryMessage)
	if err != nil {
		return err
	}
	if _, err := m.Write([]byte{byte(f.Channel)}); err != nil {
		return err
	}
	if _, err := m.Write(f.Data); err != nil {
		return err
	}
	return m.Close()
}

// inward also answers the client's pings.
func (s *socket) inward(to *sender, stdin bool) {
	defer close(s.gone)
	for {
		_, m, err := s.NextReader()
		if err != nil {
			return
		}
		var channel [2]byte
		_, err = io.ReadFull(m, channel[:1])
		switch {
		case err != nil: // an empty message
		case channel[0] == closeSignal:
			if _, err := io.ReadFull(m, channel[1:]); err == nil && stdin && api.Channel(channel[1]) == api.ChannelStdin {
				_ = to.CloseSend() // if it fails, the process has ended
			}
		case api.Channel(channel[0]) == api.ChannelStdin && stdin, api.Channel(channel[0]) == api.ChannelResize:
			_, err = io.Copy(wire.Writer{Stream: to, Channel: api.Channel(channel[0])}, m)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return
		}
	}
}

func (s *socket) end() {
	_ = s.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(lastWords))
	select {
	case <-s.gone:
	case <-time.After(lastWords):
	}
	s.Close()
	<-s.gone
}

// tunnel is a WebSocket as a connection for SPDY: what its messages hold, one after the other.
type tunnel struct {
	*websocket.Conn
	message io.Reader
	once    sync.Once
}

func (t *tunnel) Read(p []byte) (int, error) {
	for {
		if t.message == nil {
			_, m, err := t.NextReader()
			if err != nil {
				return 0, io.EOF
			}
			t.message = m
		}
		n, err := t.message.Read(p)
		if errors.Is(err, io.EOF) {
			t.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (t *tunnel) Write(p []byte) (int, error) {
	return len(p), t.WriteMessage(websocket.BinaryMessage, p)
}

func (t *tunnel) SetDeadline(at time.Time) error {
	return errors.Join(t.SetReadDeadline(at), t.SetWriteDeadline(at))
}

func (t *tunnel) Close() error {
	t.once.Do(func() {
		_ = t.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(lastWords))
	})
	return t.Conn.Close()
}
