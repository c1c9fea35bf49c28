package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/agent/runtime"
	"optimist/internal/api"
	"optimist/internal/wire"
)

// exec runs a process in a container.
func (s *Server) exec(ctx context.Context, t api.Target, params url.Values) (job, error) {
	pod, name, err := s.pod(t, params)
	if err != nil {
		return nil, err
	}
	command := params["command"]
	if len(command) == 0 {
		return nil, apierrors.NewBadRequest("you must specify at least 1 command for the container")
	}
	c, err := s.alive(ctx, pod, name)
	if err != nil {
		return nil, err
	}
	p := runtime.Process{Command: command, TTY: flag(params, "tty")}
	return func(ctx context.Context, stream api.Stream) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		p.Stdout, p.Stderr = wire.Writer{Stream: stream, Channel: api.ChannelStdout}, wire.Writer{Stream: stream, Channel: api.ChannelStderr}
		in := input(ctx, stream)
		p.Resize = in.sizes
		if flag(params, "stdin") {
			p.Stdin = in
		} else {
			go func() { _, _ = io.Copy(io.Discard, in) }() // or a caller who sends all the same would stand still
		}
		code, err := s.config.Runtime.Exec(ctx, c.ID, p)
		if err == nil && code != 0 {
			err = exitError(code)
		}
		return err
	}, nil
}

// incoming sorts a caller's frames: standard input is read, sizes come by channel.
type incoming struct {
	*io.PipeReader
	sizes chan runtime.Size
}

// input reads frames until the caller has no more, or ctx ends.
func input(ctx context.Context, stream api.Stream) incoming {
	r, w := io.Pipe()
	in := incoming{r, make(chan runtime.Size, 1)}
	context.AfterFunc(ctx, func() { r.Close() })
	go func() { w.CloseWithError(in.sort(stream, w)) }()
	return in
}

// sort returns nil when the input ends orderly: the reader then sees io.EOF.
func (in incoming) sort(stream api.Stream, w io.Writer) error {
	for {
		f, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch f.Channel {
		case api.ChannelStdin:
			if _, err := w.Write(f.Data); err != nil {
				return err
			}
		case api.ChannelResize:
			var size runtime.Size
			if json.Unmarshal(f.Data, &size) == nil {
				in.resize(size)
			}
		}
	}
}

// resize keeps only the newest size.
func (in incoming) resize(size runtime.Size) {
	select {
	case <-in.sizes:
	default:
	}
	in.sizes <- size
}
