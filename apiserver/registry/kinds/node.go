package kinds

import (
	"context"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func nodeRules() registry.Rules {
	return registry.Rules{
		Kind:     api.NodeKind,
		Default:  func(o api.Object) { defaultNode(o.(*corev1.Node)) },
		Prepare:  prepareNode,
		Validate: validate(validateNode),
		Warnings: stored[*corev1.Node](nodeStored),
		Claims:   claimNode,
		Fields: map[string]func(api.Object) string{
			"spec.unschedulable": selects(func(n *corev1.Node) string { return strconv.FormatBool(n.Spec.Unschedulable) }),
		},
		Columns: nodeColumns(),
	}
}

// defaultNode: what a node has is what pods may use, until somebody says otherwise.
func defaultNode(n *corev1.Node) {
	roundMilli(n.Status.Capacity)
	roundMilli(n.Status.Allocatable)
	if n.Status.Allocatable == nil && n.Status.Capacity != nil {
		n.Status.Allocatable = n.Status.Capacity.DeepCopy()
	}
}

// prepareNode leaves the status of a new Node as it is: an agent tells with its first write what it has. spec.podCIDR is the older form of
// podCIDRs[0].
func prepareNode(_ context.Context, _ string, o, _ api.Object) {
	s := &o.(*corev1.Node).Spec
	if s.PodCIDR == "" && len(s.PodCIDRs) > 0 {
		s.PodCIDR = s.PodCIDRs[0]
	}
	if s.PodCIDR != "" && len(s.PodCIDRs) == 0 {
		s.PodCIDRs = []string{s.PodCIDR}
	}
}

func validateNode(_ string, n, old *corev1.Node) (faults field.ErrorList) {
	spec := field.NewPath("spec")
	faults = validateTaints(n.Spec.Taints, spec.Child("taints"))
	faults = append(faults, validatePodCIDRs(&n.Spec, spec)...)
	faults = append(faults, validateNodeStatus(&n.Status, field.NewPath("status"))...)
	if old != nil {
		faults = append(faults, nodeStays(&n.Spec, &old.Spec, spec)...)
	}
	return faults
}

func validatePodCIDRs(s *corev1.NodeSpec, p *field.Path) (faults field.ErrorList) {
	at := p.Child("podCIDRs")
	for i, cidr := range s.PodCIDRs {
		faults = append(faults, validation.IsValidCIDRForLegacyField(at.Index(i), cidr, true, nil)...)
		if strings.Contains(cidr, ":") {
			faults = append(faults, field.Invalid(at.Index(i), cidr, "this cluster has only IPv4 addresses"))
		}
	}
	if len(s.PodCIDRs) > 0 && s.PodCIDRs[0] != s.PodCIDR {
		faults = append(faults, field.Invalid(at.Index(0), s.PodCIDRs[0], "must match `podCIDR`"))
	}
	if len(s.PodCIDRs) > 1 {
		faults = append(faults, field.Invalid(at, s.PodCIDRs, "must hold one range: this cluster has only IPv4 addresses"))
	}
	return faults
}

func validateNodeStatus(s *corev1.NodeStatus, p *field.Path) (faults field.ErrorList) {
	for i, a := range s.Addresses {
		if slices.Contains(s.Addresses[:i], a) {
			faults = append(faults, field.Duplicate(p.Child("addresses").Index(i), a))
		}
	}
	for name, list := range map[string]corev1.ResourceList{"capacity": s.Capacity, "allocatable": s.Allocatable} {
		for resource, q := range list {
			faults = append(faults, validateAmount(resource, q, p.Child(name).Key(string(resource)))...)
		}
	}
	return faults
}

// nodeStays: pods already have addresses of the node's range.
func nodeStays(now, old *corev1.NodeSpec, p *field.Path) (faults field.ErrorList) {
	if len(old.PodCIDRs) > 0 && !slices.Equal(now.PodCIDRs, old.PodCIDRs) {
		faults = append(faults, field.Forbidden(p.Child("podCIDRs"), "node updates may not change podCIDR except from \"\" to valid"))
	}
	if old.ProviderID != "" && now.ProviderID != old.ProviderID {
		faults = append(faults, field.Forbidden(p.Child("providerID"), "node updates may not change providerID except from \"\" to valid"))
	}
	if now.DoNotUseExternalID != old.DoNotUseExternalID {
		faults = append(faults, field.Forbidden(p, "node updates may only change labels, taints, or capacity"))
	}
	return faults
}

func nodeColumns() []registry.Column {
	return append([]registry.Column{
		nameColumn(),
		column("Status", "string", "Whether the node is ready, and takes new pods.", func(n *corev1.Node) any { return nodeStatus(n) }),
		column("Roles", "string", "The roles of the node.", func(n *corev1.Node) any { return nodeRoles(n) }),
		ageColumn(),
		column("Version", "string", "The version of the node's agent.", func(n *corev1.Node) any { return n.Status.NodeInfo.KubeletVersion }),
	}, wide(
		column("Internal-IP", "string", "The node's address inside the cluster.", func(n *corev1.Node) any { return nodeAddress(n, corev1.NodeInternalIP) }),
		column("External-IP", "string", "The node's address outside the cluster.", func(n *corev1.Node) any { return nodeAddress(n, corev1.NodeExternalIP) }),
		column("OS-Image", "string", "The node's operating system.", func(n *corev1.Node) any { return orElse(n.Status.NodeInfo.OSImage, unknown) }),
		column("Kernel-Version", "string", "The node's kernel.", func(n *corev1.Node) any { return orElse(n.Status.NodeInfo.KernelVersion, unknown) }),
		column("Container-Runtime", "string", "What runs the node's containers.", func(n *corev1.Node) any {
			return orElse(n.Status.NodeInfo.ContainerRuntimeVersion, unknown)
		}),
	)...)
}

func nodeStatus(n *corev1.Node) string {
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

func nodeRoles(n *corev1.Node) string {
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
