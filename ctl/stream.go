package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/wire"
)

// listen copies all that a target has to say, without telling it anything.
func (s *session) listen(ctx context.Context, t api.Target, params url.Values, out io.Writer) error {
	stream, err := s.Connect(ctx, t, params)
	if err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return drain(stream, out, out)
}

// drain copies a stream's output until it ends, and returns what its last word, a metav1.Status, means.
func drain(s api.Stream, out, errOut io.Writer) error {
	var outcome error
	for {
		frame, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return outcome
		}
		if err != nil {
			return err
		}
		switch frame.Channel {
		case api.ChannelStdout:
			_, err = out.Write(frame.Data)
		case api.ChannelStderr:
			_, err = errOut.Write(frame.Data)
		case api.ChannelError:
			outcome = outcomeOf(frame.Data)
		}
		if err != nil {
			return err
		}
	}
}

func outcomeOf(data []byte) error {
	var status metav1.Status
	if err := json.Unmarshal(data, &status); err != nil {
		return fmt.Errorf("the stream ended with %q", data)
	}
	if status.Status == metav1.StatusSuccess {
		return nil
	}
	if status.Details != nil {
		for _, cause := range status.Details.Causes {
			if code, err := strconv.Atoi(cause.Message); err == nil && cause.Type == "ExitCode" {
				return &exitError{code: code, text: fmt.Sprintf("command terminated with exit code %d", code)}
			}
		}
	}
	return &apierrors.StatusError{ErrStatus: status}
}

// sender lets several goroutines send on one stream.
type sender struct {
	mu sync.Mutex
	api.Stream
}

func (s *sender) Send(f api.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Stream.Send(f)
}

// pump sends all of a reader as standard input, then its end.
func pump(s api.Stream, in io.Reader) error {
	if _, err := io.Copy(wire.Writer{Stream: s, Channel: api.ChannelStdin}, in); err != nil {
		return err
	}
	return s.CloseSend()
}

// byLine hands whole lines on, and keeps what has no end yet.
type byLine struct {
	see  func(line []byte) error
	rest []byte
}

func (l *byLine) Write(data []byte) (int, error) {
	l.rest = append(l.rest, data...)
	end := bytes.LastIndexByte(l.rest, '\n') + 1
	for line := range bytes.Lines(l.rest[:end]) {
		if err := l.see(line); err != nil {
			return 0, err
		}
	}
	l.rest = l.rest[end:]
	return len(data), nil
}

// serial lets several goroutines write a line each.
type serial struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *serial) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(line)
}
