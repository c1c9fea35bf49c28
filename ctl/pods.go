package ctl

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

// onePod finds the pod that logs, exec and attach are about: by name, or the best that a Deployment, ReplicaSet or Service selects.
func (s *session) onePod(c *cobra.Command, args []string) (*corev1.Pod, error) {
	if len(args) == 1 && !strings.Contains(args[0], "/") {
		args = []string{"pod", args[0]}
	}
	target, err := s.oneNamed(c, args)
	if err != nil {
		return nil, err
	}
	found, err := s.Get(c.Context(), target, api.GetOptions{})
	if err != nil {
		return nil, err
	}
	if pod, ok := found.Object.(*corev1.Pod); ok {
		return pod, nil
	}
	of := selectorOf(found.Object)
	if of == nil {
		return nil, fmt.Errorf("%s %q selects no pods; name a pod, a Service or what makes pods", target.Kind.Singular, found.Object.GetName())
	}
	selector, err := metav1.LabelSelectorAsSelector(of)
	if err != nil {
		return nil, err
	}
	pods, err := api.Pods.List(c.Context(), s, s.ns(), api.ListOptions{Selector: selector})
	if err == nil && len(pods) == 0 {
		err = fmt.Errorf("%s %q has no pods in namespace %s", target.Kind.Singular, found.Object.GetName(), s.ns())
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(pods, better)
	if len(pods) > 1 {
		fmt.Fprintf(c.ErrOrStderr(), "Found %d pods, using pod/%s\n", len(pods), pods[0].Name)
	}
	return pods[0], nil
}

// selectorOf says which pods an object means, a Service or what has a template for pods; nil if none.
func selectorOf(o api.Object) *metav1.LabelSelector {
	field := reflect.ValueOf(o).Elem().FieldByName("Spec")
	if _, service := o.(*corev1.Service); !service && podSpec(o) == nil || !field.FieldByName("Selector").IsValid() {
		return nil
	}
	switch s := field.FieldByName("Selector").Interface().(type) {
	case *metav1.LabelSelector:
		return s
	case map[string]string:
		if len(s) > 0 {
			return &metav1.LabelSelector{MatchLabels: s}
		}
	}
	return nil
}

// better orders pods by how much they have to say: running before others, ready before others, then the youngest.
func better(a, b *corev1.Pod) int {
	return cmp.Or(cmp.Compare(rank(b), rank(a)), b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

func rank(p *corev1.Pod) int {
	switch {
	case p.Status.Phase != corev1.PodRunning:
		return 0
	case api.PodReady(p):
		return 2
	}
	return 1
}

// containerNames are those of a pod in the order in which they start.
func containerNames(pod *corev1.Pod) (names []string) {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		names = append(names, c.Name)
	}
	return names
}

// chooseContainer returns the container to use, and says so when it had to choose among several.
func chooseContainer(c *cobra.Command, pod *corev1.Pod, asked string, quiet bool) (string, error) {
	names := containerNames(pod)
	switch {
	case asked != "" && !slices.Contains(names, asked):
		return "", fmt.Errorf("container %s not found in pod %s: it has %v", asked, pod.Name, names)
	case asked != "":
		return asked, nil
	case pod.Annotations["kubectl.kubernetes.io/default-container"] != "":
		return pod.Annotations["kubectl.kubernetes.io/default-container"], nil
	case len(pod.Spec.Containers) == 0:
		return "", errors.New("the pod has no containers")
	}
	first := pod.Spec.Containers[0].Name
	if len(names) > 1 && !quiet {
		inits := len(pod.Spec.InitContainers)
		for i := range inits {
			names[i] += " (init)"
		}
		fmt.Fprintf(c.ErrOrStderr(), "Defaulted container %q out of: %s\n", first, strings.Join(append(names[inits:], names[:inits]...), ", "))
	}
	return first, nil
}
