package auth

import (
	"iter"

	corev1 "k8s.io/api/core/v1"
)

// secrets yields the name of every Secret that a pod needs: volumes, environments, pulls.
func secrets(pod *corev1.Pod) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, r := range pod.Spec.ImagePullSecrets {
			if !yield(r.Name) {
				return
			}
		}
		for name := range needs(pod) {
			if name.secret && !yield(name.name) {
				return
			}
		}
	}
}

// configMaps yields the name of every ConfigMap that a pod needs.
func configMaps(pod *corev1.Pod) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range needs(pod) {
			if !name.secret && !yield(name.name) {
				return
			}
		}
	}
}

// need is a Secret or ConfigMap by its name.
type need struct {
	secret bool
	name   string
}

// needs yields what a pod's volumes and containers name.
func needs(pod *corev1.Pod) iter.Seq[need] {
	return func(yield func(need) bool) {
		for i := range pod.Spec.Volumes {
			if !ofVolume(&pod.Spec.Volumes[i], yield) {
				return
			}
		}
		for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for i := range list {
				if !ofContainer(&list[i], yield) {
					return
				}
			}
		}
		for i := range pod.Spec.EphemeralContainers {
			c := corev1.Container(pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
			if !ofContainer(&c, yield) {
				return
			}
		}
	}
}

func ofVolume(v *corev1.Volume, yield func(need) bool) bool {
	switch {
	case v.Secret != nil:
		return yield(need{true, v.Secret.SecretName})
	case v.ConfigMap != nil:
		return yield(need{false, v.ConfigMap.Name})
	case v.Projected != nil:
		return ofSources(v.Projected.Sources, yield)
	}
	return true
}

func ofSources(sources []corev1.VolumeProjection, yield func(need) bool) bool {
	for _, s := range sources {
		if s.Secret != nil && !yield(need{true, s.Secret.Name}) || s.ConfigMap != nil && !yield(need{false, s.ConfigMap.Name}) {
			return false
		}
	}
	return true
}

func ofContainer(c *corev1.Container, yield func(need) bool) bool {
	for _, e := range c.EnvFrom {
		if e.SecretRef != nil && !yield(need{true, e.SecretRef.Name}) || e.ConfigMapRef != nil && !yield(need{false, e.ConfigMapRef.Name}) {
			return false
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			continue
		}
		if r := e.ValueFrom.SecretKeyRef; r != nil && !yield(need{true, r.Name}) {
			return false
		}
		if r := e.ValueFrom.ConfigMapKeyRef; r != nil && !yield(need{false, r.Name}) {
			return false
		}
	}
	return true
}
