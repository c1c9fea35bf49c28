// Package admission has the built-in mutators: what the registry changes in an object on its way in that needs a look at other objects.
//
//	Pod ──▶ ServiceAccount ──▶ the same Pod, with serviceAccountName, imagePullSecrets, and the volume kube-api-access-… in each container
//
// Start reading at Mutate below.
//
// Invariant: a pod that is stored names a ServiceAccount that existed at that time. Pods that exist are not touched.
//
// Real Kubernetes has some thirty such plug-ins, most of them on; this is its ServiceAccount. What concerns one object alone is a matter of the
// kind's Rules here (defaults, priority of a pod).
package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/rand"

	"optimist/internal/api"
	"optimist/internal/wake"
)

const (
	defaultAccount = "default"
	mountPath      = "/var/run/secrets/kubernetes.io/serviceaccount" // where every client library looks
	tokenLife      = 3607                                            // seconds, as in Kubernetes: an hour, and 7 to tell it from what people ask for
	rootCA         = "kube-root-ca.crt"

	// The default account of a namespace is a controller's work of some milliseconds: whoever makes both in one go need not wait for it.
	retries, retryEvery = 20, 100 * time.Millisecond
)

// ServiceAccount gives each new pod its identity.
type ServiceAccount struct {
	Service api.Service // the registry itself; set before the first write
	Mounts  bool        // pods can reach this API server: they get the volume
}

// Mutate works on new Pods only.
func (s *ServiceAccount) Mutate(ctx context.Context, r api.Request, object, old api.Object) error {
	pod, ok := object.(*corev1.Pod)
	if !ok || old != nil {
		return nil
	}
	switch _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; {
	case mirror && pod.Spec.ServiceAccountName != "":
		return apierrors.NewForbidden(r.Kind.Resource(), pod.Name, errors.New("a mirror pod may not reference service accounts"))
	case mirror:
		return nil // a static pod's image in the API: its agent runs it without asking anybody
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = defaultAccount
	}
	account, err := s.find(ctx, r.Key.Namespace, pod.Spec.ServiceAccountName)
	if err != nil {
		return apierrors.NewForbidden(r.Kind.Resource(), pod.Name, fmt.Errorf("error looking up service account %s/%s: %w", r.Key.Namespace, pod.Spec.ServiceAccountName, err))
	}
	if s.Mounts && automounts(account, pod) {
		mount(pod)
	}
	if len(pod.Spec.ImagePullSecrets) == 0 {
		pod.Spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
	}
	return nil
}

// find looks again for a default account that may be in the making.
func (s *ServiceAccount) find(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	for n := retries; ; n-- {
		account, err := api.ServiceAccounts.Get(ctx, s.Service, api.Key{Namespace: namespace, Name: name})
		switch {
		case !apierrors.IsNotFound(err):
			return account, err
		case name != defaultAccount || n == 0:
			return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccount"}, name)
		}
		if err := wake.After(ctx, retryEvery, nil); err != nil {
			return nil, err
		}
	}
}

// automounts: the pod's word goes before its account's.
func automounts(a *corev1.ServiceAccount, pod *corev1.Pod) bool {
	for _, says := range []*bool{pod.Spec.AutomountServiceAccountToken, a.AutomountServiceAccountToken} {
		if says != nil {
			return *says
		}
	}
	return true
}

// mount adds the volume to each container that has nothing at its place, and to the pod if any does.
func mount(pod *corev1.Pod) {
	name, needed := unusedName(pod), false
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if !slices.ContainsFunc(list[i].VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == mountPath }) {
				list[i].VolumeMounts = append(list[i].VolumeMounts, corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: mountPath})
				needed = true
			}
		}
	}
	if needed {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: access()}})
	}
}

func unusedName(pod *corev1.Pod) string {
	for {
		name := "kube-api-access-" + rand.String(5)
		if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == name }) {
			return name
		}
	}
}

// access is all that a program needs to call the API: a token of its pod, the CA to believe, and where it is.
func access() *corev1.ProjectedVolumeSource {
	life := int64(tokenLife)
	return &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &life}},
		{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: rootCA},
			Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
			{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}}}},
	}}
}
