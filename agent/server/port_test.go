package server

import (
	"bytes"
	"io"
	"net"
	"testing"

	"optimist/internal/api"
	"optimist/internal/console"
	"optimist/internal/wire"
)

// Either side may end first, and what the other still has to say arrives.
func TestBothHalvesOfAConnection(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789"), 100_000)
	for _, row := range []struct {
		name string
		pod  func(c *net.TCPConn) []byte // what it has read
	}{
		{"the caller ends first", func(c *net.TCPConn) []byte {
			got, _ := io.ReadAll(c)
			_, _ = c.Write(big)
			return got
		}},
		{"the pod ends first", func(c *net.TCPConn) []byte {
			_, _ = c.Write(big)
			_ = c.CloseWrite()
			got, _ := io.ReadAll(c)
			return got
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			read := make(chan []byte, 1)
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				read <- row.pod(c.(*net.TCPConn))
			}()
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			near, far := console.Pipe(t.Context())
			go func() { _ = console.Finish(far, relay(conn)(t.Context(), far)) }()
			ended := make(chan bool)
			go func() {
				if row.name == "the pod ends first" {
					<-ended
				}
				_, _ = io.Copy(wire.Writer{Stream: near, Channel: api.ChannelStdin}, bytes.NewReader(big))
				_ = near.CloseSend()
			}()
			var got bytes.Buffer
			for f, err := near.Recv(); err == nil && f.Channel != api.ChannelError; f, err = near.Recv() {
				if got.Write(f.Data); len(f.Data) == 0 {
					close(ended)
				}
			}
			if !bytes.Equal(got.Bytes(), big) || !bytes.Equal(<-read, big) {
				t.Errorf("the caller got %d bytes of %d", got.Len(), len(big))
			}
		})
	}
}
