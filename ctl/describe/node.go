package describe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/fields"

	"optimist/internal/api"
)

func node(ctx context.Context, p *page, n *corev1.Node) {
	p.rows("Name", n.Name, "Roles", roles(n))
	p.marks(n.ObjectMeta)
	p.rows("CreationTimestamp", n.CreationTimestamp)
	var taints []string
	for _, t := range n.Spec.Taints {
		taints = append(taints, t.ToString())
	}
	p.list("Taints", taints)
	p.rows("Unschedulable", n.Spec.Unschedulable)
	p.in("Lease:", func() { p.lease(ctx, n.Name) })
	if len(n.Status.Conditions) > 0 {
		table(p, "Conditions:", "Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage", n.Status.Conditions, func(c corev1.NodeCondition) []string {
			return []string{string(c.Type), string(c.Status), date(c.LastHeartbeatTime), date(c.LastTransitionTime), c.Reason, c.Message}
		})
	}
	p.in("Addresses:", func() {
		for _, a := range n.Status.Addresses {
			p.rows(string(a.Type), a.Address)
		}
	})
	p.resources("Capacity", n.Status.Capacity)
	p.resources("Allocatable", n.Status.Allocatable)
	p.in("System Info:", func() {
		i := n.Status.NodeInfo
		p.rows("Machine ID", i.MachineID, "System UUID", i.SystemUUID, "Boot ID", i.BootID, "Kernel Version", i.KernelVersion,
			"OS Image", i.OSImage, "Operating System", i.OperatingSystem, "Architecture", i.Architecture,
			"Container Runtime Version", i.ContainerRuntimeVersion, "Kubelet Version", i.KubeletVersion)
	})
	p.rows("PodCIDR?", n.Spec.PodCIDR, "PodCIDRs?", strings.Join(n.Spec.PodCIDRs, ","))
	p.podsOn(ctx, n)
}

func roles(n *corev1.Node) []string {
	var all []string
	for label := range n.Labels {
		if role, ok := strings.CutPrefix(label, "node-role.kubernetes.io/"); ok {
			all = append(all, role)
		}
	}
	slices.Sort(all)
	return all
}

// lease tells when the node's agent was heard of last.
func (p *page) lease(ctx context.Context, name string) {
	l, err := api.Leases.Get(ctx, p, api.Key{Namespace: corev1.NamespaceNodeLease, Name: name})
	if err != nil {
		p.line("Failed to get lease: %s", err)
		return
	}
	renewed := "<unset>"
	if l.Spec.RenewTime != nil {
		renewed = l.Spec.RenewTime.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700")
	}
	p.rows("HolderIdentity", valueOr(l.Spec.HolderIdentity, "<unset>"), "AcquireTime", "<unset>", "RenewTime", renewed)
}

// podsOn lists what runs on a node and what that may use.
func (p *page) podsOn(ctx context.Context, n *corev1.Node) {
	all, err := api.Pods.List(ctx, p, "", api.ListOptions{Fields: fields.OneTermEqualSelector("spec.nodeName", n.Name)})
	if err != nil {
		return
	}
	all = slices.DeleteFunc(all, func(o *corev1.Pod) bool {
		return o.Status.Phase == corev1.PodSucceeded || o.Status.Phase == corev1.PodFailed
	})
	total := make(usage, 4)
	table(p, fmt.Sprintf("Non-terminated Pods:\t(%d in total)", len(all)), "Namespace\tName\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge", all,
		func(o *corev1.Pod) []string {
			own := make(usage, 4)
			for _, c := range o.Spec.Containers {
				own.add(c.Resources)
				total.add(c.Resources)
			}
			return slices.Concat([]string{o.Namespace, o.Name}, own.of(n.Status.Allocatable), []string{p.since(o.CreationTimestamp.Time)})
		})
	p.in("Allocated resources:", func() {
		p.line("(Total limits may be over 100 percent, i.e., overcommitted.)")
		cells := total.of(n.Status.Allocatable)
		p.grid("Resource\tRequests\tLimits", [][]string{{"cpu", cells[0], cells[1]}, {"memory", cells[2], cells[3]}})
	})
}

// usage is what pods ask for and what they may take at most: of cpu, then of memory.
type usage []resource.Quantity

func (u usage) add(r corev1.ResourceRequirements) {
	for i, q := range []*resource.Quantity{r.Requests.Cpu(), r.Limits.Cpu(), r.Requests.Memory(), r.Limits.Memory()} {
		u[i].Add(*q)
	}
}

// of tells the usage with its share of what there is.
func (u usage) of(all corev1.ResourceList) []string {
	return []string{share(u[0], *all.Cpu()), share(u[1], *all.Cpu()), share(u[2], *all.Memory()), share(u[3], *all.Memory())}
}

func share(part, whole resource.Quantity) string {
	percent := int64(0)
	if whole.MilliValue() > 0 {
		percent = part.MilliValue() * 100 / whole.MilliValue()
	}
	return fmt.Sprintf("%s (%d%%)", part.String(), percent)
}
