package kinds

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
)

// podWarnings are those of the table and, beside them, what in a pod's spec is most likely a mistake.
func podWarnings[T api.Object](table []unacted, prefix string, spec func(T) *corev1.PodSpec) func(api.Object) []string {
	unacted := stored[T](table)
	return func(o api.Object) []string {
		return append(unacted(o), mistakes(spec(o.(T)), prefix+"spec")...)
	}
}

func mistakes(s *corev1.PodSpec, p string) (warnings []string) {
	for i := range s.InitContainers {
		warnings = append(warnings, hiddenEnv(s.InitContainers[i].Env, fmt.Sprintf("%s.initContainers[%d]", p, i))...)
	}
	for i := range s.Containers {
		warnings = append(warnings, hiddenEnv(s.Containers[i].Env, fmt.Sprintf("%s.containers[%d]", p, i))...)
	}
	for i, ref := range s.ImagePullSecrets {
		if ref.Name == "" {
			warnings = append(warnings, fmt.Sprintf("%s.imagePullSecrets[%d].name: invalid empty name %q", p, i, ref.Name))
		}
	}
	if s.TerminationGracePeriodSeconds != nil && *s.TerminationGracePeriodSeconds < 0 {
		warnings = append(warnings, p+".terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1")
	}
	return warnings
}

// hiddenEnv: of two variables of a name the later wins, which is only meant when it is made of the earlier one.
func hiddenEnv(env []corev1.EnvVar, p string) (warnings []string) {
	seen := make(map[string]bool, len(env))
	for i, e := range env {
		earlier := "$(" + e.Name + ")"
		builtOn := e.ValueFrom == nil && e.Value != earlier && strings.Contains(e.Value, earlier)
		if seen[e.Name] && !builtOn {
			warnings = append(warnings, fmt.Sprintf("%s.env[%d]: hides previous definition of %q, which may be dropped when using apply", p, i, e.Name))
		}
		seen[e.Name] = true
	}
	return warnings
}
