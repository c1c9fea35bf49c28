package wire

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/proto"
)

// outcomes is the one place where the three vocabularies of failure meet. Where several rows share a gRPC code, the first says what a
// status means that gRPC itself made up (it has no details).
var outcomes = []struct {
	reason metav1.StatusReason
	code   codes.Code
	http   int32
}{
	{metav1.StatusReasonUnauthorized, codes.Unauthenticated, http.StatusUnauthorized},
	{metav1.StatusReasonForbidden, codes.PermissionDenied, http.StatusForbidden},
	{metav1.StatusReasonNotFound, codes.NotFound, http.StatusNotFound},
	{metav1.StatusReasonAlreadyExists, codes.AlreadyExists, http.StatusConflict},
	{metav1.StatusReasonConflict, codes.Aborted, http.StatusConflict},
	{metav1.StatusReasonExpired, codes.OutOfRange, http.StatusGone},
	{metav1.StatusReasonGone, codes.OutOfRange, http.StatusGone},
	{metav1.StatusReasonBadRequest, codes.InvalidArgument, http.StatusBadRequest},
	{metav1.StatusReasonInvalid, codes.InvalidArgument, http.StatusUnprocessableEntity},
	{metav1.StatusReasonNotAcceptable, codes.InvalidArgument, http.StatusNotAcceptable},
	{metav1.StatusReasonUnsupportedMediaType, codes.InvalidArgument, http.StatusUnsupportedMediaType},
	{metav1.StatusReasonMethodNotAllowed, codes.Unimplemented, http.StatusMethodNotAllowed},
	{metav1.StatusReasonRequestEntityTooLarge, codes.ResourceExhausted, http.StatusRequestEntityTooLarge},
	{metav1.StatusReasonTooManyRequests, codes.ResourceExhausted, http.StatusTooManyRequests},
	{metav1.StatusReasonTimeout, codes.DeadlineExceeded, http.StatusGatewayTimeout},
	{metav1.StatusReasonServerTimeout, codes.DeadlineExceeded, http.StatusInternalServerError},
	{metav1.StatusReasonServiceUnavailable, codes.Unavailable, http.StatusServiceUnavailable},
	{metav1.StatusReasonInternalError, codes.Internal, http.StatusInternalServerError},
	{metav1.StatusReasonUnknown, codes.Unknown, http.StatusInternalServerError},
}

// Status is any error as an API error: what is none becomes an InternalError.
func Status(err error) metav1.Status {
	var known apierrors.APIStatus
	if errors.As(err, &known) {
		return known.Status()
	}
	return apierrors.NewInternalError(err).Status()
}

// EncodeError makes an error a gRPC status that carries the whole metav1.Status.
func EncodeError(err error) error {
	var known apierrors.APIStatus
	if err == nil || !errors.As(err, &known) && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return status.FromContextError(err).Err()
	}
	s := Status(err)
	data, jerr := json.Marshal(s)
	if jerr != nil {
		return status.Error(codes.Internal, jerr.Error())
	}
	g, derr := status.New(codeOf(s.Reason), s.Message).WithDetails(&proto.Failure{Status: data})
	if derr != nil {
		return status.Error(codes.Internal, derr.Error())
	}
	return g.Err()
}

func codeOf(reason metav1.StatusReason) codes.Code {
	for _, o := range outcomes {
		if o.reason == reason {
			return o.code
		}
	}
	return codes.Unknown
}

// DecodeError makes a gRPC status the API error that it was. A status that gRPC itself made (no connection, message too large) becomes the
// API error of the same meaning, ends of contexts become the contexts' errors; io.EOF stays.
func DecodeError(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	s, ok := status.FromError(err)
	if !ok {
		return err // decoded already, or not from the wire
	}
	for _, d := range s.Details() {
		if f, ok := d.(*proto.Failure); ok {
			e := &apierrors.StatusError{}
			if json.Unmarshal(f.Status, &e.ErrStatus) == nil {
				return e
			}
		}
	}
	switch s.Code() {
	case codes.Canceled:
		return context.Canceled
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	}
	return bare(s)
}

// bare gives a status without details a reason.
func bare(s *status.Status) error {
	e := &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Message: s.Message(),
		Reason: metav1.StatusReasonInternalError, Code: http.StatusInternalServerError}}
	for _, o := range outcomes {
		if o.code == s.Code() {
			e.ErrStatus.Reason, e.ErrStatus.Code = o.reason, o.http
			break
		}
	}
	return e
}

// Ours reports whether an encoded error is the server's own fault (5xx): what its log should tell of. That somebody is not there (503) and
// that time ran out (504) happens.
func Ours(encoded error) bool {
	switch status.Code(encoded) {
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return true
	}
	return false
}

// IsTransport reports whether gRPC itself made this error because there was no connection, or none any more.
func IsTransport(err error) bool {
	s, ok := status.FromError(err)
	return ok && s.Code() == codes.Unavailable && len(s.Details()) == 0
}
