package api

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// Tolerates matches one toleration with one taint. (Concepts → Taints and Tolerations.) Lt and Gt compare as numbers (KEP-5471). The scheduler
// asks it before a pod is bound, taint eviction afterwards.
func Tolerates(t corev1.Toleration, taint corev1.Taint) bool {
	if t.Effect != "" && t.Effect != taint.Effect || t.Key != "" && t.Key != taint.Key {
		return false
	}
	switch t.Operator {
	case corev1.TolerationOpExists:
		return true
	case "", corev1.TolerationOpEqual:
		return t.Value == taint.Value && t.Key != ""
	case corev1.TolerationOpLt, corev1.TolerationOpGt:
		want, err1 := strconv.ParseInt(t.Value, 10, 64)
		have, err2 := strconv.ParseInt(taint.Value, 10, 64)
		return err1 == nil && err2 == nil && (t.Operator == corev1.TolerationOpLt) == (have < want) && have != want
	}
	return false
}
