package api

import (
	"errors"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CauseOutcomeUnknown in the details of an error says that the write may have happened all the same.
const CauseOutcomeUnknown metav1.CauseType = "OutcomeUnknown"

// Ambiguous reports whether a failed write may have happened all the same: the connection broke after the request had left, the time
// ran out, the server broke down in the middle. Only a clear refusal (4xx), or a request that certainly was not taken (503), is not.
// Who gets an ambiguous error must look (Now, then wait for watches to reach it) before planning again.
func Ambiguous(err error) bool {
	var refused apierrors.APIStatus
	if err == nil {
		return false
	}
	if !errors.As(err, &refused) {
		return true
	}
	s := refused.Status()
	if s.Details != nil && slices.ContainsFunc(s.Details.Causes, func(c metav1.StatusCause) bool { return c.Type == CauseOutcomeUnknown }) {
		return true
	}
	return s.Code < 400 || s.Code >= 500 && s.Code != http.StatusServiceUnavailable
}

// OutcomeUnknown is the error for a write of which nobody can say whether it happened.
func OutcomeUnknown(message string) error {
	err := apierrors.NewTimeoutError(message, 0)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: CauseOutcomeUnknown, Message: message}}
	return err
}
