package why

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"optimist/internal/api"
)

// silence is how long a node may say nothing: its lease's duration.
const silence = 40 * time.Second

func nodeReady(n *corev1.Node) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == corev1.NodeReady {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}

// silent is a node whose agent keeps no connection, or does not renew its lease.
func silent(f *Facts, n *corev1.Node) *Cause {
	heard := f.heard(n.Name)
	if !f.absent(name(n)) && (heard.IsZero() || f.Now.Sub(heard) < silence) {
		return nil
	}
	ago := "ever since it was made"
	if !heard.IsZero() {
		ago = "for " + duration.HumanDuration(f.Now.Sub(heard))
	}
	c := &Cause{Text: fmt.Sprintf("the agent of %s has said nothing %s: it has ended, or cannot reach the API server", name(n), ago), Try: f.start(name(n))}
	if ready := nodeReady(n); ready != nil {
		c.Evidence = []string{fmt.Sprintf("condition Ready is %s (%s): %s", ready.Status, ready.Reason, ready.Message)}
	}
	return c
}

func runtimeDown(f *Facts, n *corev1.Node) *Cause {
	ready := nodeReady(n)
	if ready == nil || ready.Status != corev1.ConditionFalse || !strings.HasPrefix(ready.Message, "container runtime is down") {
		return nil
	}
	return &Cause{Text: fmt.Sprintf("%s cannot run containers: %s", name(n), ready.Message), Try: []string{f.Start}}
}

func notReady(f *Facts, n *corev1.Node) *Cause {
	ready := nodeReady(n)
	if ready == nil || ready.Status != corev1.ConditionFalse {
		return nil
	}
	return &Cause{Text: fmt.Sprintf("%s says that it is not ready: %s", name(n), ready.Message), Try: []string{"logs --component agent --node " + n.Name}}
}

// recovering is the taint by which a node that is ready again is still said not to be; "" = none.
func recovering(n *corev1.Node) string {
	if ready := nodeReady(n); ready == nil || ready.Status != corev1.ConditionTrue {
		return ""
	}
	for _, t := range n.Spec.Taints {
		if t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable {
			return t.Key
		}
	}
	return ""
}

func nodeState(f *Facts, n *corev1.Node) (bool, string) {
	ready := nodeReady(n)
	switch {
	case ready == nil || ready.Status != corev1.ConditionTrue:
		return false, "is on its way: it has not said yet that it is ready"
	case recovering(n) != "":
		return false, fmt.Sprintf("is on its way: it is ready, and its taint %s is about to go", recovering(n))
	case n.Spec.Unschedulable:
		return true, "is well, but cordoned: it takes no new pods"
	}
	return true, fmt.Sprintf("is well: it is ready, and its agent was heard %s ago", duration.HumanDuration(f.Now.Sub(f.heard(n.Name))))
}

// content leads from a namespace that is to end to what is left in it.
func content(f *Facts, ns *corev1.Namespace) *Cause {
	if ns.DeletionTimestamp == nil {
		return nil
	}
	left := slices.DeleteFunc(slices.Clone(f.Objects), func(o api.Object) bool { return o.GetNamespace() != ns.Name || o.GetDeletionTimestamp() == nil })
	if len(left) == 0 {
		return nil
	}
	return &Cause{Text: "which is still in it", below: left}
}

func namespaceState(_ *Facts, ns *corev1.Namespace) (bool, string) {
	if ns.DeletionTimestamp != nil {
		return false, "is ending"
	}
	return true, "is well: active"
}
