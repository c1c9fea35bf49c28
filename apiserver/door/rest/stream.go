package rest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

// connect joins a client and a stream of the Service. tail is what follows the subresource in the path: "" or "/…".
func (s *Server) connect(c *call, tail string) error {
	if c.Sub != "log" || c.r.Method != http.MethodGet {
		return errMethod
	}
	return s.log(c)
}

// log sends what a container has written, as text.
func (s *Server) log(c *call) error {
	stream, err := s.Service.Connect(c.ctx, c.Target, c.query)
	if err != nil {
		return err
	}
	_ = stream.CloseSend()
	var out *flusher // nil: the client has not been told yet that it succeeds
	for {
		f, err := stream.Recv()
		if f.Channel == api.ChannelError && err == nil {
			err = outcome(f.Data)
		}
		if out == nil && err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if out == nil {
			out = new(begin(c.w, "text/plain"))
		}
		if err != nil {
			_ = out.send(nil)
			return nil
		}
		if f.Channel != api.ChannelError && out.send(f.Data) != nil {
			return nil
		}
	}
}

// outcome is what a stream's last frame says: io.EOF, or why it failed.
func outcome(data []byte) error {
	var st metav1.Status
	if err := json.Unmarshal(data, &st); err != nil {
		return err
	}
	if st.Status == metav1.StatusSuccess {
		return io.EOF
	}
	return &apierrors.StatusError{ErrStatus: st}
}
