package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/wire"
)

// failure is an API error of the door's own.
func failure(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message, Details: &metav1.StatusDetails{}}}
}

var errNoSuchPath = failure(http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")

// status is any error as what its client is told.
func status(err error) metav1.Status {
	if errors.Is(err, context.DeadlineExceeded) {
		err = apierrors.NewTimeoutError("the request has taken too long", 0)
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
	data, err := json.Marshal(st)
	if err != nil {
		panic(err) // text and numbers
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(int(st.Code))
	_, _ = w.Write(data) // who does not read it has left
}
