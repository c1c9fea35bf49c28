package describe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"optimist/internal/api"
)

func node(ctx context.Context, c Cluster, n *corev1.Node) rows {
	i := n.Status.NodeInfo
	return slices.Concat(
		rows{"Name", n.Name, "Roles", roles(n)}, marks(n),
		rows{"CreationTimestamp", n.CreationTimestamp, "Taints", beside(texts(byEffect(n.Spec.Taints), func(t corev1.Taint) string { return t.ToString() })),
			"Unschedulable", n.Spec.Unschedulable, "Lease", c.lease(ctx, n.Name),
			"Conditions?", table("Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage", n.Status.Conditions, func(c corev1.NodeCondition) []string {
				return []string{string(c.Type), string(c.Status), inWords(c.LastHeartbeatTime), inWords(c.LastTransitionTime), c.Reason, c.Message}
			}),
			"Addresses", each(n.Status.Addresses, func(a corev1.NodeAddress) rows { return rows{string(a.Type), a.Address} }),
			"Capacity", resources(n.Status.Capacity), "Allocatable", resources(n.Status.Allocatable),
			"System Info", rows{"Machine ID", i.MachineID, "System UUID", i.SystemUUID, "Boot ID", i.BootID, "Kernel Version", i.KernelVersion,
				"OS Image", i.OSImage, "Operating System", i.OperatingSystem, "Architecture", i.Architecture,
				"Container Runtime Version", i.ContainerRuntimeVersion, "Kubelet Version", i.KubeletVersion},
			"PodCIDR?", n.Spec.PodCIDR, "PodCIDRs?", strings.Join(n.Spec.PodCIDRs, ",")},
		c.podsOn(ctx, n))
}

// byEffect is kubectl's order.
func byEffect(taints []corev1.Taint) []corev1.Taint {
	return slices.SortedFunc(slices.Values(taints), func(a, b corev1.Taint) int {
		return strings.Compare(string(a.Effect)+","+a.Key, string(b.Effect)+","+b.Key)
	})
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
func (c Cluster) lease(ctx context.Context, name string) any {
	l, err := api.Leases.Get(ctx, c, api.Key{Namespace: corev1.NamespaceNodeLease, Name: name})
	if err != nil {
		return below{"Failed to get lease: " + err.Error()}
	}
	renewed := "<unset>"
	if l.Spec.RenewTime != nil {
		renewed = inWords(metav1.Time{Time: l.Spec.RenewTime.Time})
	}
	return rows{"HolderIdentity", valueOr(l.Spec.HolderIdentity, "<unset>"), "AcquireTime", "<unset>", "RenewTime", renewed}
}

// podsOn lists what runs on a node and what that may use.
func (c Cluster) podsOn(ctx context.Context, n *corev1.Node) rows {
	all, err := api.Pods.List(ctx, c, "", api.ListOptions{Fields: fields.OneTermEqualSelector("spec.nodeName", n.Name)})
	if err != nil {
		return nil
	}
	all = slices.DeleteFunc(all, api.Ended)
	total := make(usage, 4)
	pods := table("Namespace\tName\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge", all, func(o *corev1.Pod) []string {
		own := make(usage, 4)
		for _, x := range o.Spec.Containers {
			own.add(x.Resources)
			total.add(x.Resources)
		}
		return slices.Concat([]string{o.Namespace, o.Name}, own.of(n.Status.Allocatable), []string{c.since(o.CreationTimestamp.Time)})
	})
	cells := total.of(n.Status.Allocatable)
	return rows{"Non-terminated Pods", fmt.Sprintf("(%d in total)", len(all)), "?", pods,
		"Allocated resources", below{"(Total limits may be over 100 percent, i.e., overcommitted.)"},
		"", grid{{"Resource", "Requests", "Limits"}, {"cpu", cells[0], cells[1]}, {"memory", cells[2], cells[3]}}}
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
