package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
	"optimist/proto"
)

// accepted is the header that a server sends once it knows that a watch or a stream will come: whoever waits for it learns of a refusal
// before the first message, and of success on a quiet one.
const accepted = "accepted"

// Impersonate is the header with whose place a caller wants to take: an api.User as JSON.
const Impersonate = "impersonate-bin"

// Accept tells the other side that its watch or stream was accepted.
func Accept(s grpc.ServerStream) error { return s.SendHeader(metadata.Pairs(accepted, "1")) }

// Accepted waits for Accept, or returns why not.
func Accepted(s grpc.ClientStream) error {
	h, err := s.Header()
	if err != nil {
		return err
	}
	if len(h[accepted]) > 0 {
		return nil
	}
	if err := s.RecvMsg(new(proto.Frame)); !errors.Is(err, io.EOF) { // the refusal
		return err
	}
	return apierrors.NewInternalError(fmt.Errorf("the server ended the stream without a word"))
}

// Open begins a stream as its client, by Objects.Connect or Kept.Connect. Ending the context ends it.
// Its errors are still gRPC's, so that the caller can tell a refusal from a broken connection.
func Open(ctx context.Context, connect Connect, t api.Target, params url.Values) (api.Stream, error) {
	s, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	// A failing Send says only EOF: the reason is what Header or RecvMsg return.
	_ = s.Send(&proto.Frame{Open: &proto.Open{Target: EncodeTarget(t), Params: params.Encode()}})
	if err := Accepted(s); err != nil {
		return nil, err
	}
	return clientStream{s}, nil
}

// Connect is the generated clients' method.
type Connect func(context.Context, ...grpc.CallOption) (grpc.BidiStreamingClient[proto.Frame, proto.Frame], error)

type clientStream struct {
	grpc.BidiStreamingClient[proto.Frame, proto.Frame]
}

func (s clientStream) Send(f api.Frame) error {
	return DecodeError(s.BidiStreamingClient.Send(&proto.Frame{Channel: uint32(f.Channel), Data: f.Data}))
}

func (s clientStream) Recv() (api.Frame, error) {
	p, err := s.BidiStreamingClient.Recv()
	return api.Frame{Channel: api.Channel(p.GetChannel()), Data: p.GetData()}, DecodeError(err)
}

// Serve answers a stream as its server: it opens what the first frame asks for and passes frames both ways until one side has ended.
// Its errors are API errors.
func Serve(s grpc.BidiStreamingServer[proto.Frame, proto.Frame], catalogue *api.Catalogue, c api.Connector) error {
	first, err := s.Recv()
	if err != nil {
		return err
	}
	t, err := DecodeTarget(catalogue, first.GetOpen().GetTarget())
	if err != nil {
		return err
	}
	params, err := url.ParseQuery(first.Open.Params)
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("parameters: %v", err))
	}
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	far, err := c.Connect(ctx, t, params)
	if err != nil {
		return err
	}
	if err := Accept(s); err != nil {
		return err
	}
	go inward(s, far, cancel)
	return outward(s, far)
}

func inward(s grpc.BidiStreamingServer[proto.Frame, proto.Frame], far api.Stream, cancel func()) {
	for {
		p, err := s.Recv()
		if errors.Is(err, io.EOF) {
			_ = far.CloseSend() // if it fails, outward hears of it
			return
		}
		if err != nil {
			cancel()
			return
		}
		if far.Send(api.Frame{Channel: api.Channel(p.Channel), Data: p.Data}) != nil {
			return
		}
	}
}

func outward(s grpc.BidiStreamingServer[proto.Frame, proto.Frame], far api.Stream) error {
	for {
		f, err := far.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(&proto.Frame{Channel: uint32(f.Channel), Data: f.Data}); err != nil {
			return err
		}
	}
}

// Queue is a net.Listener for connections that somebody else has accepted: it is how a server that wants to listen for itself gets them.
type Queue struct {
	addr net.Addr
	in   chan net.Conn
	done chan struct{}
	once sync.Once
}

// NewQueue makes a Queue that says it listens at addr.
func NewQueue(addr net.Addr) *Queue {
	return &Queue{addr: addr, in: make(chan net.Conn), done: make(chan struct{})}
}

// Put hands a connection to whoever accepts; after Close it closes it.
func (q *Queue) Put(c net.Conn) {
	select {
	case q.in <- c:
	case <-q.done:
		c.Close()
	}
}

// Accept waits for the next Put.
func (q *Queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.in:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (q *Queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

// Addr is where the connections arrive.
func (q *Queue) Addr() net.Addr { return q.addr }

// The protocols that share the API server's port, told apart by ALPN in the TLS handshake.
const (
	ALPN     = "optimist-grpc" // whoever dialed asks: service Objects
	ALPNKept = "optimist-kept" // whoever dialed answers: service Kept
)
