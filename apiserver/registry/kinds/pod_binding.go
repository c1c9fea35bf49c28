package kinds

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/internal/api"
)

// A binding is how the scheduler decides: it creates the subresource "binding" of a pod, once. Since the pod's revision guards the write,
// of two schedulers only one can win.

func newBinding() api.Object {
	return &corev1.Binding{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Binding"}}
}

func bind(body, o api.Object) error {
	b, p := body.(*corev1.Binding), o.(*corev1.Pod)
	if faults := validateBinding(b); len(faults) > 0 {
		return apierrors.NewInvalid(schema.GroupKind{Kind: "Binding"}, b.Name, faults)
	}
	if err := bindable(p, b); err != nil {
		return api.PodKind.Conflict(p.Name, err)
	}
	p.Spec.NodeName = b.Target.Name
	for name, text := range b.Annotations {
		metav1.SetMetaDataAnnotation(&p.ObjectMeta, name, text)
	}
	p.Status.NominatedNodeName = ""
	setScheduled(&p.Status)
	return nil
}

func validateBinding(b *corev1.Binding) field.ErrorList {
	target := field.NewPath("target")
	return append(when(b.Target.Kind != "" && b.Target.Kind != "Node", field.NotSupported(target.Child("kind"), b.Target.Kind, []string{"Node", "<empty>"})),
		when(b.Target.Name == "", field.Required(target.Child("name"), ""))...)
}

func bindable(p *corev1.Pod, b *corev1.Binding) error {
	switch {
	case b.UID != "" && b.UID != p.UID:
		return fmt.Errorf("Precondition failed: UID in precondition: %s, UID in object meta: %s", b.UID, p.UID)
	case p.DeletionTimestamp != nil:
		return fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", p.Name)
	case p.Spec.NodeName != "":
		return fmt.Errorf("pod %s is already assigned to node %q", p.Name, p.Spec.NodeName)
	case len(p.Spec.SchedulingGates) > 0:
		return fmt.Errorf("pod %s has non-empty .spec.schedulingGates", p.Name)
	}
	return nil
}

func setScheduled(s *corev1.PodStatus) {
	scheduled := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}
	s.Conditions = slices.DeleteFunc(s.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodScheduled })
	s.Conditions = append(s.Conditions, scheduled)
}
