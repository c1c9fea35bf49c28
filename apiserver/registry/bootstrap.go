package registry

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

// Bootstrap makes what every cluster has: the namespaces and the priority classes of the system. What exists is left alone.
func (r *Registry) Bootstrap(ctx context.Context) error {
	ctx = api.WithUser(ctx, api.User{Name: api.UserAPIServer, Groups: []string{api.GroupMasters}})
	for _, name := range append(immortal, corev1.NamespaceNodeLease) {
		_, err := api.Namespaces.Create(ctx, r, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make namespace %s: %w", name, err)
		}
	}
	for _, c := range systemClasses {
		_, err := api.PriorityClasses.Create(ctx, r, c.DeepCopy())
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make priority class %s: %w", c.Name, err)
		}
	}
	return nil
}

var systemClasses = []*schedulingv1.PriorityClass{
	{
		ObjectMeta:  metav1.ObjectMeta{Name: "system-cluster-critical"},
		Value:       2_000_000_000,
		Description: "For what the cluster needs to work, but which may move to another node.",
	},
	{
		ObjectMeta:  metav1.ObjectMeta{Name: "system-node-critical"},
		Value:       2_000_001_000,
		Description: "For what a node needs to work.",
	},
}
