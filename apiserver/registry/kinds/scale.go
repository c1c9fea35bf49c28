package kinds

import (
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

// scaled is what of an object its scale shows.
type scaled struct {
	wanted   **int32
	have     int32
	selector *metav1.LabelSelector
}

var scaleKind = schema.GroupKind{Group: autoscalingv1.GroupName, Kind: "Scale"}

// scaleOf makes the subresource "scale": the one number that autoscalers and `ctl scale` change, in one form for every kind.
func scaleOf[T api.Object](of func(T) scaled) registry.Sub {
	return registry.Sub{
		New: func() api.Object { return newScale() },
		Get: func(o api.Object) api.Object { return readScale(o, of(o.(T))) },
		Into: func(body, o api.Object) error {
			scale, ok := body.(*autoscalingv1.Scale)
			if !ok {
				return apierrors.NewBadRequest(fmt.Sprintf("the body must be a Scale of autoscaling/v1, not %T", body))
			}
			if scale.Spec.Replicas < 0 {
				return apierrors.NewInvalid(scaleKind, o.GetName(), nonNegative(field.NewPath("spec", "replicas"), scale.Spec.Replicas))
			}
			replicas := scale.Spec.Replicas
			*of(o.(T)).wanted = &replicas
			return nil
		},
	}
}

func newScale() *autoscalingv1.Scale {
	return &autoscalingv1.Scale{TypeMeta: metav1.TypeMeta{APIVersion: autoscalingv1.SchemeGroupVersion.String(), Kind: scaleKind.Kind}}
}

func readScale(o api.Object, s scaled) api.Object {
	scale := newScale()
	scale.ObjectMeta = metav1.ObjectMeta{Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID(),
		ResourceVersion: o.GetResourceVersion(), CreationTimestamp: o.GetCreationTimestamp()}
	scale.Spec.Replicas = deref(*s.wanted)
	scale.Status.Replicas = s.have
	if selector, err := metav1.LabelSelectorAsSelector(s.selector); err == nil {
		scale.Status.Selector = selector.String()
	}
	return scale
}
