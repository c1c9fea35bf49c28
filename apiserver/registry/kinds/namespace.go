package kinds

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func namespaceRules() registry.Rules {
	r := stored[*corev1.Namespace](api.NamespaceKind, nil, shown[*corev1.Namespace]("Status", "status.phase", "", "The status of the namespace"), registry.AgeColumn)
	r.Name, r.Prepare, r.Fields = apivalidation.ValidateNamespaceName, prepareNamespace, selectable[*corev1.Namespace]("status.phase")
	return r
}

// defaultNamespace gives each namespace its name as a label, so that selectors can pick it.
func defaultNamespace(n *corev1.Namespace) {
	fill(&n.Status.Phase, corev1.NamespaceActive)
	if n.Name != "" {
		metav1.SetMetaDataLabel(&n.ObjectMeta, corev1.LabelMetadataName, n.Name)
	}
}

// prepareNamespace: what holds a namespace (spec.finalizers) and how it ends is the registry's own matter.
func prepareNamespace(ctx context.Context, sub string, o, old api.Object) {
	clearStatus(ctx, sub, o, old)
	defaultNamespace(o.(*corev1.Namespace)) // the name may have been generated after the defaults
}

var namespaceChecks = []rule{each(func(_ *field.Path, n *corev1.Namespace) (faults field.ErrorList) {
	for _, f := range n.Spec.Finalizers {
		faults = append(faults, apivalidation.ValidateFinalizerName(string(f), field.NewPath("spec", "finalizers"))...)
	}
	return faults
})}
