package door

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"optimist/internal/api"
)

const handshakeTimeout = 10 * time.Second

// Door is a protocol by its ALPN name ("" is for clients that name none) and what becomes of a connection that speaks it. Enter must not block for long.
type Door struct {
	Protocol string
	Enter    func(*tls.Conn)
}

// Serve accepts connections until ctx ends, and then returns nil. The doors' order is the server's preference.
func Serve(ctx context.Context, l net.Listener, conf *tls.Config, doors []Door) error {
	conf = conf.Clone()
	conf.NextProtos = nil
	for _, d := range doors {
		if d.Protocol != "" {
			conf.NextProtos = append(conf.NextProtos, d.Protocol)
		}
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		raw, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err := pause(ctx, err); err != nil {
			return err
		}
		if raw != nil {
			go enter(ctx, raw, conf, doors)
		}
	}
}

// pause waits out a shortage (of file descriptors, say) and returns what is no shortage.
func pause(ctx context.Context, err error) error {
	var temporary interface{ Temporary() bool }
	if err == nil || !errors.As(err, &temporary) || !temporary.Temporary() {
		return err
	}
	select {
	case <-ctx.Done():
	case <-time.After(50 * time.Millisecond):
	}
	return nil
}

func enter(ctx context.Context, raw net.Conn, conf *tls.Config, doors []Door) {
	conn := tls.Server(raw, conf)
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if conn.HandshakeContext(ctx) != nil { // the client's trouble, not ours
		refuse(raw)
		return
	}
	spoken := conn.ConnectionState().NegotiatedProtocol
	i := slices.IndexFunc(doors, func(d Door) bool { return d.Protocol == spoken })
	if i < 0 { // a client that names no protocol at all passes the handshake
		conn.Close()
		return
	}
	doors[i].Enter(conn)
}

// refuse closes a connection so that the client still gets to read what TLS told it: closing while something of his is unread would reset
// the connection, and he would only see that it broke.
func refuse(raw net.Conn) {
	defer raw.Close()
	if half, ok := raw.(*net.TCPConn); ok && half.CloseWrite() == nil {
		_ = raw.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = io.CopyN(io.Discard, raw, 64<<10) // whatever it is
	}
}

// User is who the client's certificate speaks for; false without one, and if it names nobody. The handshake has verified it.
func User(s tls.ConnectionState) (api.User, bool) {
	if len(s.PeerCertificates) == 0 {
		return api.User{}, false
	}
	subject := s.PeerCertificates[0].Subject
	return api.User{Name: subject.CommonName, Groups: append(slices.Clone(subject.Organization), "system:authenticated")}, subject.CommonName != ""
}

// Bearer is the token in an Authorization header; "" if there is none.
func Bearer(header string) string {
	scheme, token, _ := strings.Cut(strings.TrimSpace(header), " ")
	if !strings.EqualFold(scheme, "Bearer") { // RFC 9110: in whatever case
		return ""
	}
	return strings.TrimSpace(token)
}
