package ctl

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
)

// onePod finds the pod that logs, exec and attach are about: by name, or the best that a Deployment, ReplicaSet or Service selects.
func (s *session) onePod(c *cobra.Command, service api.Service, args []string) (*corev1.Pod, error) {
	kind, name, err := one(api.Builtin, api.PodKind, args)
	if err != nil {
		return nil, usageError(c, err)
	}
	if kind.Is(api.PodKind) {
		return api.Pods.Get(c.Context(), service, s.key(kind, name))
	}
	pods, err := s.podsOf(c.Context(), service, kind, name)
	if err != nil {
		return nil, err
	}
	if len(pods) == 0 {
		return nil, fmt.Errorf("%s %q has no pods in namespace %s", kind.Singular, name, s.ns())
	}
	slices.SortFunc(pods, better)
	if len(pods) > 1 {
		fmt.Fprintf(c.ErrOrStderr(), "Found %d pods, using pod/%s\n", len(pods), pods[0].Name)
	}
	return pods[0], nil
}

func (s *session) podsOf(ctx context.Context, service api.Service, k *api.Kind, name string) ([]*corev1.Pod, error) {
	result, err := service.Get(ctx, s.target(k, name), api.GetOptions{})
	if err != nil {
		return nil, err
	}
	selector, err := selectorOf(result.Object)
	if err != nil {
		return nil, err
	}
	return api.Pods.List(ctx, service, s.ns(), api.ListOptions{Selector: selector})
}

func selectorOf(o api.Object) (labels.Selector, error) {
	switch o := o.(type) {
	case *appsv1.Deployment:
		return metav1.LabelSelectorAsSelector(o.Spec.Selector)
	case *appsv1.ReplicaSet:
		return metav1.LabelSelectorAsSelector(o.Spec.Selector)
	case *corev1.Service:
		if len(o.Spec.Selector) > 0 {
			return labels.SelectorFromSet(o.Spec.Selector), nil
		}
		return nil, fmt.Errorf("service %q selects no pods", o.Name)
	}
	return nil, fmt.Errorf("a %s selects no pods; name a pod, deployment, replicaset or service", strings.ToLower(o.GetObjectKind().GroupVersionKind().Kind))
}

// better orders pods by how much they have to say: running before others, ready before others, then the youngest.
func better(a, b *corev1.Pod) int {
	return cmp.Or(
		cmp.Compare(rank(b), rank(a)),
		b.CreationTimestamp.Compare(a.CreationTimestamp.Time),
		cmp.Compare(a.Name, b.Name))
}

func rank(p *corev1.Pod) int {
	r := 0
	if p.Status.Phase == corev1.PodRunning {
		r = 2
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			r++
		}
	}
	return r
}

// containerNames are those of a pod in the order in which they start.
func containerNames(pod *corev1.Pod) []string {
	var names []string
	for _, c := range pod.Spec.InitContainers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	return names
}

// containerList is what kubectl prints when it has to choose.
func containerList(pod *corev1.Pod) string {
	var names []string
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.InitContainers {
		names = append(names, c.Name+" (init)")
	}
	return strings.Join(names, ", ")
}
