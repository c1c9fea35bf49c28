package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

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

// outcomeOf reads a stream's last word.
func outcomeOf(data []byte) error {
	var status metav1.Status
	if err := json.Unmarshal(data, &status); err != nil {
		return fmt.Errorf("the stream ended with %q", data)
	}
	if status.Status == metav1.StatusSuccess {
		return nil
	}
	if code, ok := codeIn(status); ok {
		return &exitError{code: code, text: fmt.Sprintf("command terminated with exit code %d", code)}
	}
	return &apierrors.StatusError{ErrStatus: status}
}

// exitCodeCause is how Kubernetes reports the code with which a process ended.
const exitCodeCause = "ExitCode"

func codeIn(status metav1.Status) (int, bool) {
	if status.Details == nil {
		return 0, false
	}
	for _, cause := range status.Details.Causes {
		if cause.Type == exitCodeCause {
			code, err := strconv.Atoi(cause.Message)
			return code, err == nil
		}
	}
	return 0, false
}

// sender lets several goroutines send on one stream.
type sender struct {
	mu     sync.Mutex
	stream api.Stream
}

func (s *sender) send(c api.Channel, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Send(api.Frame{Channel: c, Data: data})
}

func (s *sender) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.CloseSend()
}

// pump sends all of a reader as standard input, then its end. It returns the bytes of every frame to progress (nil = nobody asks).
func (s *sender) pump(in io.Reader, progress func(int)) error {
	for {
		buffer := make([]byte, api.FrameSize) // anew each time: a stream may keep what it was given
		n, err := in.Read(buffer)
		if n > 0 {
			if err := s.send(api.ChannelStdin, buffer[:n]); err != nil {
				return err
			}
			if progress != nil {
				progress(n)
			}
		}
		if errors.Is(err, io.EOF) {
			return s.close()
		}
		if err != nil {
			return err
		}
	}
}
