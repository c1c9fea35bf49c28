package registry

import (
	"context"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/store"
)

// storeError words what a store answers as an API error. What is one already passes unchanged, and so do the context's errors.
func storeError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrCompacted):
		return apierrors.NewResourceExpired("The requested revision is too old: history has been compacted past it. List again without a revision.")
	case errors.Is(err, store.ErrSlow):
		return apierrors.NewResourceExpired("the watch fell too far behind; list again")
	case errors.Is(err, store.ErrFuture):
		return tooLarge("the requested revision has not happened yet")
	case errors.Is(err, store.ErrUnknown):
		return apierrors.NewTimeoutError("the write may or may not have been applied; read the object before you try again", 0)
	case errors.Is(err, store.ErrUnwritable), errors.Is(err, store.ErrClosed):
		return apierrors.NewServiceUnavailable(err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	if _, worded := errors.AsType[*apierrors.StatusError](err); worded {
		return err
	}
	return internalError(err)
}

// tooLarge refuses a revision that nobody can have seen.
func tooLarge(message string) error {
	err := apierrors.NewTimeoutError(message, 1)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version"}}
	return err
}

func internalError(err error) error { return apierrors.NewInternalError(err) }

// unsupported refuses a media type.
func unsupported(message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType,
		Reason: metav1.StatusReasonUnsupportedMediaType, Message: message}}
}
