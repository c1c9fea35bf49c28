package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/url"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/agent/logs"
	"optimist/agent/runtime"
	"optimist/internal/api"
	"optimist/internal/wire"
)

// log streams what a container printed.
func (s *Server) log(ctx context.Context, t api.Target, params url.Values) (job, error) {
	pod, name, err := s.pod(t, params)
	if err != nil {
		return nil, err
	}
	options := logs.Options{Timestamps: flag(params, "timestamps")}
	numbers := map[string]*int64{}
	for _, name := range []string{"tailLines", "limitBytes", "sinceSeconds"} {
		if text := params.Get(name); text != "" {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < 0 {
				return nil, apierrors.NewBadRequest(fmt.Sprintf("%s=%q: must be a number, 0 or greater", name, text))
			}
			numbers[name] = &n
		}
	}
	options.LimitBytes = numbers["limitBytes"]
	if seconds := numbers["sinceSeconds"]; seconds != nil {
		options.Since = time.Now().Add(-time.Duration(*seconds) * time.Second)
	}
	if text := params.Get("sinceTime"); text != "" {
		if options.Since, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("sinceTime=%q: must be a time like 2026-01-02T15:04:05Z", text))
		}
	}
	c, err := s.attempt(ctx, pod, name, flag(params, "previous"))
	if err != nil {
		return nil, err
	}
	return s.copyLog(c, numbers["tailLines"], flag(params, "follow"), options), nil
}

// attach follows what a running container prints from now on. Its standard input cannot be reached: no runtime of ours keeps it open.
func (s *Server) attach(ctx context.Context, t api.Target, params url.Values) (job, error) {
	pod, name, err := s.pod(t, params)
	if err != nil {
		return nil, err
	}
	if flag(params, "stdin") {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the standard input of container %s cannot be attached to; use exec for a process with one", name))
	}
	c, err := s.alive(ctx, pod, name)
	if err != nil {
		return nil, err
	}
	return s.copyLog(c, nil, true, logs.Options{Since: time.Now()}), nil
}

// copyLog reads from the runtime if it keeps the logs, else from the container's files.
func (s *Server) copyLog(c runtime.Container, tail *int64, follow bool, o logs.Options) job {
	return func(ctx context.Context, stream api.Stream) error {
		var lines iter.Seq2[runtime.Line, error]
		if l, ok := s.config.Runtime.(runtime.Logger); ok {
			lines = l.Logs(ctx, c.ID, tail, follow)
		} else {
			lines = logs.Lines(ctx, c.LogPath, tail, follow, func() bool { return !s.runs(ctx, c.ID) })
		}
		err := logs.Print(lines, o, wire.Writer{Stream: stream, Channel: api.ChannelStdout}, wire.Writer{Stream: stream, Channel: api.ChannelStderr})
		if errors.Is(err, fs.ErrNotExist) {
			return apierrors.NewBadRequest(fmt.Sprintf("the log of container %s is gone", c.ID.Name))
		}
		return err
	}
}

// runs asks the runtime; when that cannot answer, a follower goes on waiting.
func (s *Server) runs(ctx context.Context, id runtime.ContainerID) bool {
	all, err := s.attempts(ctx, id.Pod, id.Name)
	for _, c := range all {
		if c.ID == id {
			return c.Phase == runtime.Running
		}
	}
	return err != nil
}
