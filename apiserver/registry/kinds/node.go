package kinds

import (
	"context"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func nodeRules() registry.Rules {
	r := stored(api.NodeKind, nodeStays,
		column("Status", "string", "Whether the node is ready, and takes new pods.", nodeStatus),
		column("Roles", "string", "The roles of the node.", nodeRoles),
		registry.AgeColumn,
		shown[*corev1.Node]("Version", "status.nodeInfo.kubeletVersion", "", "The version of the node's agent."))
	r.Columns = append(r.Columns, wide(
		column("Internal-IP", "string", "The node's address inside the cluster.", func(n *corev1.Node) any { return nodeAddress(n, corev1.NodeInternalIP) }),
		column("External-IP", "string", "The node's address outside the cluster.", func(n *corev1.Node) any { return nodeAddress(n, corev1.NodeExternalIP) }),
		shown[*corev1.Node]("OS-Image", "status.nodeInfo.osImage", unknown, "The node's operating system."),
		shown[*corev1.Node]("Kernel-Version", "status.nodeInfo.kernelVersion", unknown, "The node's kernel."),
		shown[*corev1.Node]("Container-Runtime", "status.nodeInfo.containerRuntimeVersion", unknown, "What runs the node's containers."))...)
	r.Prepare, r.Claims, r.Fields = prepareNode, claimNode, selectable[*corev1.Node]("spec.unschedulable")
	return r
}

// defaultNode: what a node has is what pods may use, until somebody says otherwise.
func defaultNode(n *corev1.Node) {
	roundMilli(n.Status.Capacity, n.Status.Allocatable)
	if n.Status.Allocatable == nil && n.Status.Capacity != nil {
		n.Status.Allocatable = n.Status.Capacity.DeepCopy()
	}
}

// prepareNode leaves the status of a new Node as it is: an agent tells with its first write what it has. But until it is known to be ready
// pods keep off (admission plugin TaintNodesByCondition). spec.podCIDR is the older form of podCIDRs[0].
func prepareNode(_ context.Context, _ string, o, old api.Object) {
	s := &o.(*corev1.Node).Spec
	if s.PodCIDR == "" && len(s.PodCIDRs) > 0 {
		s.PodCIDR = s.PodCIDRs[0]
	}
	if s.PodCIDR != "" && len(s.PodCIDRs) == 0 {
		s.PodCIDRs = []string{s.PodCIDR}
	}
	var before []corev1.Taint
	if old != nil {
		before = old.(*corev1.Node).Spec.Taints
	} else if fresh := (corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}); findTaint(s.Taints, fresh) == nil {
		s.Taints = append(s.Taints, fresh)
	}
	dateTaints(s.Taints, before, time.Now())
}

// dateTaints writes down since when pods are driven away, if whoever says so did not: tolerationSeconds count from then.
func dateTaints(taints, before []corev1.Taint, now time.Time) {
	for i := range taints {
		t := &taints[i]
		if t.Effect != corev1.TaintEffectNoExecute || t.TimeAdded != nil {
			continue
		}
		added := metav1.NewTime(now.Truncate(time.Second))
		t.TimeAdded = &added
		if was := findTaint(before, *t); was != nil && was.TimeAdded != nil && was.Value == t.Value {
			t.TimeAdded = was.TimeAdded
		}
	}
}

// findTaint finds the one of the same key and effect.
func findTaint(taints []corev1.Taint, like corev1.Taint) *corev1.Taint {
	i := slices.IndexFunc(taints, func(t corev1.Taint) bool { return t.MatchTaint(&like) })
	if i < 0 {
		return nil
	}
	return &taints[i]
}

var nodeChecks = []rule{
	fields[corev1.NodeSpec]("podCIDRs", every(cidr)),
	each(func(at *field.Path, s *corev1.NodeSpec) field.ErrorList {
		if at = at.Child("podCIDRs"); len(s.PodCIDRs) == 0 {
			return nil
		}
		const family = "this cluster has only IPv4 addresses"
		return slices.Concat(
			when(s.PodCIDRs[0] != s.PodCIDR, field.Invalid(at.Index(0), s.PodCIDRs[0], "must match `podCIDR`")),
			when(strings.Contains(s.PodCIDRs[0], ":"), field.Invalid(at.Index(0), s.PodCIDRs[0], family)),
			when(len(s.PodCIDRs) > 1, field.Invalid(at, s.PodCIDRs, "must hold one range: "+family)))
	}),
	fields[corev1.NodeStatus]("addresses", distinct("", func(a corev1.NodeAddress) corev1.NodeAddress { return a })),
	fields[corev1.NodeStatus]("capacity allocatable", some(func(at *field.Path, l corev1.ResourceList) (faults field.ErrorList) {
		for name, q := range l {
			faults = append(faults, amount(at.Key(string(name)), name, q)...)
		}
		return faults
	})),
}

// nodeStays: pods already have addresses of the node's range.
func nodeStays(_ string, n, before *corev1.Node) field.ErrorList {
	now, old, at := n.Spec, before.Spec, field.NewPath("spec")
	return slices.Concat(
		when(len(old.PodCIDRs) > 0 && !slices.Equal(now.PodCIDRs, old.PodCIDRs), field.Forbidden(at.Child("podCIDRs"), "node updates may not change podCIDR except from \"\" to valid")),
		when(old.ProviderID != "" && now.ProviderID != old.ProviderID, field.Forbidden(at.Child("providerID"), "node updates may not change providerID except from \"\" to valid")),
		when(now.DoNotUseExternalID != old.DoNotUseExternalID, field.Forbidden(at, "node updates may only change labels, taints, or capacity")))
}

func nodeStatus(n *corev1.Node) any {
	status := "Unknown"
	for _, c := range n.Status.Conditions {
		switch {
		case c.Type != corev1.NodeReady:
		case c.Status == corev1.ConditionTrue:
			status = "Ready"
		default:
			status = "NotReady"
		}
	}
	if n.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

func nodeRoles(n *corev1.Node) any {
	const prefix, legacy = "node-role.kubernetes.io/", "kubernetes.io/role"
	var roles []string
	for key, value := range n.Labels {
		if role, ok := strings.CutPrefix(key, prefix); ok && role != "" {
			roles = append(roles, role)
		} else if key == legacy && value != "" {
			roles = append(roles, value)
		}
	}
	slices.Sort(roles)
	return orElse(strings.Join(slices.Compact(roles), ","), none)
}

func nodeAddress(n *corev1.Node, t corev1.NodeAddressType) string {
	for _, a := range n.Status.Addresses {
		if a.Type == t {
			return a.Address
		}
	}
	return none
}
