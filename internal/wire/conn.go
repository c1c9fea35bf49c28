package wire

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

// Writer sends what is written to it as frames on one channel.
type Writer struct {
	api.Stream
	Channel api.Channel
}

// Write copies, because a frame belongs to its receiver.
func (w Writer) Write(p []byte) (sent int, err error) {
	for sent < len(p) && err == nil {
		n := min(len(p)-sent, api.FrameSize)
		if err = w.Send(api.Frame{Channel: w.Channel, Data: append([]byte(nil), p[sent:sent+n]...)}); err == nil {
			sent += n
		}
	}
	return sent, err
}

// ReadFrom sends each piece that can be read at once; io.Copy does it.
func (w Writer) ReadFrom(r io.Reader) (sent int64, err error) {
	for {
		buffer := make([]byte, api.FrameSize)
		n, end := r.Read(buffer)
		if n > 0 {
			if err := w.Send(api.Frame{Channel: w.Channel, Data: buffer[:n]}); err != nil {
				return sent, err
			}
			sent += int64(n)
		}
		if errors.Is(end, io.EOF) {
			return sent, nil
		}
		if end != nil {
			return sent, end
		}
	}
}

// Conn is a stream to a port ("portforward", "proxy") as a connection. One goroutine may read while another writes. It knows no deadlines: Close ends
// what waits.
type Conn struct {
	Writer
	end  context.CancelFunc
	rest []byte // of the last frame
	over error  // why there is nothing more to read
}

var _ net.Conn = (*Conn)(nil)

// NewConn makes a connection of a stream whose context end ends.
func NewConn(s api.Stream, end context.CancelFunc) *Conn {
	return &Conn{Writer: Writer{s, api.ChannelStdin}, end: end}
}

// Read returns io.EOF when the port will say no more, and the API error when the connection to it has broken.
func (c *Conn) Read(p []byte) (int, error) {
	for len(c.rest) == 0 && c.over == nil {
		f, err := c.Recv()
		switch {
		case err != nil:
			c.over = err
		case f.Channel == api.ChannelError:
			c.over = Outcome(f.Data)
		case f.Channel == api.ChannelStdout && len(f.Data) == 0:
			c.over = io.EOF
		case f.Channel == api.ChannelStdout:
			c.rest = f.Data
		}
	}
	n := copy(p, c.rest)
	if c.rest = c.rest[n:]; n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, c.over
}

// Outcome is what a stream's last frame on api.ChannelError means: io.EOF if all went well.
func Outcome(data []byte) error {
	var s metav1.Status
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	if s.Status == metav1.StatusSuccess {
		return io.EOF
	}
	return &apierrors.StatusError{ErrStatus: s}
}

// CloseWrite tells the port that we say no more.
func (c *Conn) CloseWrite() error { return c.CloseSend() }

// Close ends the stream.
func (c *Conn) Close() error { c.end(); return nil }

// Half is what can say that it has said all, and listen on.
type Half interface {
	io.ReadWriter
	CloseWrite() error
}

// Join copies both ways until both sides have said all (each hears when the other has), or one way has broken: then it closes c. It returns why reading
// from the port broke, nil if it ended; other is closed by whoever gave it.
func (c *Conn) Join(other Half) error {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if _, err := io.Copy(c, other); err != nil || c.CloseWrite() != nil {
			c.Close()
		}
	}()
	_, err := io.Copy(other, c)
	if err == nil {
		err = other.CloseWrite()
	}
	if err != nil {
		c.Close()
		if status := apierrors.APIStatus(nil); errors.As(err, &status) {
			return err
		}
		return nil
	}
	<-sent
	return nil
}

// Forward joins the port that params name with what a client sends and hears. Without a client it only asks whether that could be done.
func Forward(ctx context.Context, by api.Connector, t api.Target, params url.Values, near Half) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	far, err := by.Connect(ctx, t, params)
	if err != nil {
		return err
	}
	c := NewConn(far, cancel)
	if near != nil {
		return c.Join(near)
	}
	_, err = io.Copy(io.Discard, c)
	return err
}

func (c *Conn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *Conn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *Conn) SetDeadline(time.Time) error      { return nil }
func (c *Conn) SetReadDeadline(time.Time) error  { return nil }
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
