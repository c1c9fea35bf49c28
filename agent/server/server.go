package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/agent/runtime"
	"optimist/internal/api"
	"optimist/internal/console"
	"optimist/internal/wire"
)

// Config is what the server answers from.
type Config struct {
	Node    string
	Pods    Pods
	Runtime runtime.Runtime
	Root    string        // of the log files
	Address func() string // the node's
	Console *console.Ring // the agent's own log; nil = it keeps none
}

// Pods is the cache of this node's Pods.
type Pods interface {
	Get(api.Key) (*corev1.Pod, bool)
}

// Server is the agent's api.Connector.
type Server struct{ config Config }

var _ api.Connector = (*Server)(nil)

// New makes a server; it has no life of its own.
func New(c Config) *Server { return &Server{c} }

// job is an answer that is ready to be streamed: what could be refused has been looked at.
type job func(ctx context.Context, s api.Stream) error

// routes are the subresources, by kind.
var routes = map[string]func(s *Server, ctx context.Context, t api.Target, params url.Values) (job, error){
	"Pod/log":     (*Server).log,
	"Pod/exec":    (*Server).exec,
	"Pod/attach":  (*Server).attach,
	"Node/images": (*Server).images,

	"Pod/portforward": (*Server).port,
	"Pod/proxy":       (*Server).port,
	"Node/proxy":      (*Server).port,
}

// Connect finds out who answers, and streams the answer.
func (s *Server) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	name := t.Kind.Name + "/" + t.Sub
	if name == "Node/log" && s.config.Console != nil {
		return s.config.Console.Connect(ctx, params)
	}
	route := routes[name]
	if route == nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the agent of node %s does not answer %s", s.config.Node, name))
	}
	do, err := route(s, ctx, t, params)
	if err != nil {
		return nil, err
	}
	near, far := console.Pipe(ctx)
	go func() { _ = console.Finish(far, do(ctx, far)) }() // fails only when nobody listens any more
	return near, nil
}

// exitError is a process that ended with another code than 0.
type exitError int

func (e exitError) Error() string {
	return fmt.Sprintf("command terminated with non-zero exit code: exit status %d", int(e))
}

// Status is the outcome by which kubectl knows the code.
func (e exitError) Status() metav1.Status {
	return metav1.Status{Status: metav1.StatusFailure, Reason: "NonZeroExitCode", Message: e.Error(), Details: &metav1.StatusDetails{
		Causes: []metav1.StatusCause{{Type: "ExitCode", Message: fmt.Sprint(int(e))}}}}
}

// images lists the node's images as JSON, or with import=1 takes in the archive on standard input.
func (s *Server) images(_ context.Context, t api.Target, params url.Values) (job, error) {
	store, ok := s.config.Runtime.(runtime.Images)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("node %s keeps no images: its containers are simulated, and every image exists there", t.Key.Name))
	}
	if flag(params, "import") {
		return func(ctx context.Context, stream api.Stream) error { return load(ctx, store, stream) }, nil
	}
	return func(ctx context.Context, stream api.Stream) error { return list(ctx, store, stream) }, nil
}

func load(ctx context.Context, store runtime.Images, stream api.Stream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	images, err := store.Import(ctx, input(ctx, stream))
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("the archive could not be loaded: %v", err))
	}
	for _, i := range images {
		if _, err := fmt.Fprintln(wire.Writer{Stream: stream, Channel: api.ChannelStdout}, i.Ref); err != nil {
			return err
		}
	}
	return nil
}

func list(ctx context.Context, store runtime.Images, stream api.Stream) error {
	images, err := store.Images(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(wire.Writer{Stream: stream, Channel: api.ChannelStdout}).Encode(images)
}
