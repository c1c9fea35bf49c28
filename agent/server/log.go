package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/agent/logs"
	"optimist/agent/runtime"
	"optimist/internal/api"
)

// log streams what a container printed.
func (s *Server) log(ctx context.Context, t api.Target, params url.Values) (job, error) {
	pod, name, err := s.pod(t, params)
	if err != nil {
		return nil, err
	}
	options, err := logOptions(params)
	if err != nil {
		return nil, err
	}
	c, err := s.attempt(ctx, pod, name, flag(params, "previous"))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, out api.Stream) error {
		return s.copyLog(ctx, c, options, output{out, api.ChannelStdout}, output{out, api.ChannelStderr})
	}, nil
}

// logOptions reads the parameters by Kubernetes' names.
func logOptions(params url.Values) (logs.Options, error) {
	o := logs.Options{Follow: flag(params, "follow"), Timestamps: flag(params, "timestamps")}
	var err error
	number := func(name string) *int64 {
		text := params.Get(name)
		if text == "" || err != nil {
			return nil
		}
		n, e := strconv.ParseInt(text, 10, 64)
		if e != nil || n < 0 {
			err = apierrors.NewBadRequest(fmt.Sprintf("%s=%q: must be a number, 0 or greater", name, text))
		}
		return &n
	}
	o.Tail, o.LimitBytes = number("tailLines"), number("limitBytes")
	if seconds := number("sinceSeconds"); seconds != nil {
		o.Since = time.Now().Add(-time.Duration(*seconds) * time.Second)
	}
	if text := params.Get("sinceTime"); text != "" && err == nil {
		if o.Since, err = time.Parse(time.RFC3339, text); err != nil {
			err = apierrors.NewBadRequest(fmt.Sprintf("sinceTime=%q: must be a time like 2026-01-02T15:04:05Z", text))
		}
	}
	return o, err
}

// copyLog reads from the runtime if it keeps the logs, else from the container's file.
func (s *Server) copyLog(ctx context.Context, c runtime.Container, o logs.Options, stdout, stderr io.Writer) error {
	if l, ok := s.config.Runtime.(runtime.Logger); ok {
		return copyLines(ctx, l, c.ID, o, stdout, stderr)
	}
	err := logs.Read(ctx, c.LogPath, o, stdout, stderr, func() bool { return !s.runs(ctx, c.ID) })
	if errors.Is(err, fs.ErrNotExist) {
		return apierrors.NewBadRequest(fmt.Sprintf("the log of container %s is gone", c.ID.Name))
	}
	return err
}

// runs asks the runtime; when that cannot answer, a follower goes on waiting.
func (s *Server) runs(ctx context.Context, id runtime.ContainerID) bool {
	box, err := s.config.Runtime.Sandbox(ctx, id.Pod)
	if err != nil {
		return true
	}
	if box != nil {
		for _, c := range box.Containers {
			if c.ID == id {
				return c.Phase == runtime.Running
			}
		}
	}
	return false
}

// copyLines is logs.Read for a runtime.Logger.
func copyLines(ctx context.Context, l runtime.Logger, id runtime.ContainerID, o logs.Options, stdout, stderr io.Writer) error {
	skip, err := linesToSkip(ctx, l, id, o)
	if err != nil {
		return err
	}
	left := int64(-1)
	if o.LimitBytes != nil {
		left = *o.LimitBytes
	}
	for line, err := range l.Logs(ctx, id, o.Follow) {
		if err != nil {
			return err
		}
		if skip > 0 || line.Time.Before(o.Since) {
			skip--
			continue
		}
		text := printed(line, o.Timestamps)
		if left >= 0 && int64(len(text)) >= left {
			text = text[:left]
		}
		out := stdout
		if line.Stderr {
			out = stderr
		}
		if _, err := io.WriteString(out, text); err != nil {
			return err
		}
		if left -= int64(len(text)); left == 0 && o.LimitBytes != nil {
			return nil
		}
	}
	return nil
}

func printed(line runtime.Line, timestamps bool) string {
	if timestamps {
		return line.Time.UTC().Format(time.RFC3339Nano) + " " + line.Text + "\n"
	}
	return line.Text + "\n"
}

// linesToSkip is how many lines precede the tail.
func linesToSkip(ctx context.Context, l runtime.Logger, id runtime.ContainerID, o logs.Options) (int64, error) {
	if o.Tail == nil {
		return 0, nil
	}
	var lines int64
	for _, err := range l.Logs(ctx, id, false) {
		if err != nil {
			return 0, err
		}
		lines++
	}
	return lines - *o.Tail, nil
}
