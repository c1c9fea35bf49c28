package auth

import (
	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
)

// need is a Secret or ConfigMap by its name.
type need struct {
	kind *api.Kind
	name string
}

// needs lists what a pod names: for pulls, in volumes, in the environments of its containers.
func needs(pod *corev1.Pod) (all []need) {
	for _, r := range pod.Spec.ImagePullSecrets {
		all = append(all, need{api.SecretKind, r.Name})
	}
	for _, v := range pod.Spec.Volumes {
		switch {
		case v.Secret != nil:
			all = append(all, need{api.SecretKind, v.Secret.SecretName})
		case v.ConfigMap != nil:
			all = append(all, need{api.ConfigMapKind, v.ConfigMap.Name})
		case v.Projected != nil:
			all = append(all, ofSources(v.Projected.Sources)...)
		}
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			all = append(all, ofContainer(c.EnvFrom, c.Env)...)
		}
	}
	for _, c := range pod.Spec.EphemeralContainers {
		all = append(all, ofContainer(c.EnvFrom, c.Env)...)
	}
	return all
}

func ofSources(sources []corev1.VolumeProjection) (all []need) {
	for _, s := range sources {
		if s.Secret != nil {
			all = append(all, need{api.SecretKind, s.Secret.Name})
		}
		if s.ConfigMap != nil {
			all = append(all, need{api.ConfigMapKind, s.ConfigMap.Name})
		}
	}
	return all
}

func ofContainer(from []corev1.EnvFromSource, env []corev1.EnvVar) (all []need) {
	for _, e := range from {
		if e.SecretRef != nil {
			all = append(all, need{api.SecretKind, e.SecretRef.Name})
		}
		if e.ConfigMapRef != nil {
			all = append(all, need{api.ConfigMapKind, e.ConfigMapRef.Name})
		}
	}
	for _, e := range env {
		switch from := e.ValueFrom; {
		case from == nil:
		case from.SecretKeyRef != nil:
			all = append(all, need{api.SecretKind, from.SecretKeyRef.Name})
		case from.ConfigMapKeyRef != nil:
			all = append(all, need{api.ConfigMapKind, from.ConfigMapKeyRef.Name})
		}
	}
	return all
}
