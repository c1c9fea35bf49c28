package rest

import (
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"optimist/internal/api"
	"optimist/internal/wire"
)

// failure is an API error of the door's own.
func failure(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message, Details: &metav1.StatusDetails{}}}
}

var (
	errNoSuchPath = failure(http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
	errMethod     = failure(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "the server does not allow this method on the requested resource")
)

// status is any error as what its client is told.
func status(err error) metav1.Status {
	if errors.Is(err, context.DeadlineExceeded) {
		err = apierrors.NewTimeoutError("request did not complete within the allotted timeout", 0)
	}
	st := wire.Status(err)
	st.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	return st
}

// fail answers with an error.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // nobody is there any more
	}
	st := status(err)
	if st.Code == http.StatusInternalServerError {
		s.Log.Error("a request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	if st.Details != nil && st.Details.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(st.Details.RetryAfterSeconds)))
	}
	f, nerr := negotiate(r.Header.Get("Accept"), false)
	if nerr != nil {
		f = format{media: mediaJSON}
	}
	c := &call{w: w, r: r, format: f}
	if err := c.done(int(st.Code), nil, &st); err != nil {
		s.Log.Debug("an error was not told", "err", err)
	}
}

// reply answers with an object.
func (s *Server) reply(c *call, code int, res api.Result) error {
	data, err := s.one(c.format, c.Target, res.Object)
	if err != nil {
		return err
	}
	warn(c.w, res.Warnings)
	return c.send(code, data)
}

// done answers with a Status.
func (c *call) done(code int, warnings []string, st *metav1.Status) error {
	st.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	data, err := c.bytes(st)
	if err != nil {
		return err
	}
	warn(c.w, warnings)
	return c.send(code, data)
}

// The most that warnings may say, one and all: clients' headers have bounds.
const (
	maxWarning  = 256
	maxWarnings = 4096
)

func warn(w http.ResponseWriter, all []string) {
	for n, total := 0, 0; n < len(all); n++ {
		text := all[n]
		if len(all) > 1 && len(text) > maxWarning {
			text = strings.ToValidUTF8(text[:maxWarning], "") + "…"
		}
		if total += len(text); total > maxWarnings {
			return
		}
		if header, err := utilnet.NewWarningHeader(299, "-", text); err == nil {
			w.Header().Add("Warning", header)
		}
	}
}

const minGzip = 128 << 10

var zippers = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is one
	return z
}}

// send answers with bytes, compressed if they are many. Who does not read them has left: that is no error.
func (c *call) send(code int, data []byte) error {
	h := c.w.Header()
	h.Set("Content-Type", c.media)
	if len(data) > minGzip && c.r.Method == http.MethodGet && strings.Contains(c.r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		h.Add("Vary", "Accept-Encoding")
		c.w.WriteHeader(code)
		z := zippers.Get().(*gzip.Writer)
		defer zippers.Put(z)
		z.Reset(c.w)
		_, _ = z.Write(data)
		_ = z.Close()
		return nil
	}
	h.Set("Content-Length", strconv.Itoa(len(data)))
	c.w.WriteHeader(code)
	_, _ = c.w.Write(data)
	return nil
}
