package api

import (
	"context"
	"iter"
	"net/url"
)

// Service is everything that can be asked of a cluster. Errors are apimachinery's StatusErrors on both sides of every wire.
type Service interface {
	Get(ctx context.Context, t Target, o GetOptions) (Result, error)
	List(ctx context.Context, t Target, o ListOptions) (List, error)
	// Watch yields batches of events, each at least one event long. The second result is what is known before the first event
	// (forbidden, expired); the sequence ends with an error (410 Expired: list or watch Initial again), or when ctx does.
	Watch(ctx context.Context, t Target, o WatchOptions) (iter.Seq2[[]Event, error], error)
	// Write creates, updates, patches or deletes, as the request's Verb says. A deletecollection returns no Object.
	Write(ctx context.Context, r Request) (Result, error)
	Connector
	// Now is the newest revision; the caller's watches soon yield an event or Bookmark at or after it.
	Now(ctx context.Context) (Revision, error)
}

// Connector opens a stream to what stands behind an object: a container's log (sub "log"), a process in it ("exec", "attach"), a port of a
// pod ("portforward", "proxy"; proxy also of a Service or node, all three named [SCHEME:]NAME[:PORT]), a node's images ("images"), a
// component's own log. The parameters are named as in Kubernetes' query strings (container, follow, tailLines, command, stdin, tty, port …);
// "portforward" without a port only finds out whether it would be answered.
type Connector interface {
	Connect(ctx context.Context, t Target, params url.Values) (Stream, error)
}

// Stream carries frames both ways until ctx of Connect ends or Recv returns io.EOF.
type Stream interface {
	Send(Frame) error
	Recv() (Frame, error) // io.EOF after the last; the outcome came before it as a frame on ChannelError
	CloseSend() error     // no more frames from us: the other side's standard input ends; a port tells of its own end by an empty frame on ChannelStdout
}

// Frame is some bytes on one channel. The numbers are those of Kubernetes' v5.channel.k8s.io, so that doors pass frames on unchanged.
type Frame struct {
	Channel Channel
	Data    []byte
}

// FrameSize is the most bytes that a sender puts into a frame: with what stands around them they fit into the 32 KB for which gRPC keeps
// buffers; its next size is 1 MB.
const FrameSize = 31 << 10

// Channel says what a frame's bytes are.
type Channel byte

const (
	ChannelStdin  Channel = 0
	ChannelStdout Channel = 1
	ChannelStderr Channel = 2
	ChannelError  Channel = 3 // a metav1.Status as JSON; Success, or Failure with cause ExitCode
	ChannelResize Channel = 4 // {"Width":80,"Height":24}
)
