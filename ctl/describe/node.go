package describe

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/fields"

	"optimist/internal/api"
)

func node(ctx context.Context, c Cluster, p *page, n *corev1.Node) {
	p.line("Name:\t%s", n.Name)
	p.line("Roles:\t%s", roles(n))
	p.labels("Labels", n.Labels)
	p.annotations(n.Annotations)
	p.line("CreationTimestamp:\t%s", date(n.CreationTimestamp))
	p.taints(n.Spec.Taints)
	p.line("Unschedulable:\t%t", n.Spec.Unschedulable)
	p.lease(ctx, c, n.Name)
	p.nodeConditions(n.Status.Conditions)
	p.line("Addresses:")
	p.in(func() {
		for _, a := range n.Status.Addresses {
			p.line("%s:\t%s", a.Type, a.Address)
		}
	})
	p.resources("Capacity", n.Status.Capacity)
	p.resources("Allocatable", n.Status.Allocatable)
	p.systemInfo(n.Status.NodeInfo)
	if n.Spec.PodCIDR != "" {
		p.line("PodCIDR:\t%s", n.Spec.PodCIDR)
		p.line("PodCIDRs:\t%s", strings.Join(n.Spec.PodCIDRs, ","))
	}
	p.podsOn(ctx, c, n)
}

const rolePrefix = "node-role.kubernetes.io/"

func roles(n *corev1.Node) string {
	var all []string
	for label := range n.Labels {
		if role, ok := strings.CutPrefix(label, rolePrefix); ok {
			all = append(all, role)
		}
	}
	return listOrNone(all)
}

func (p *page) taints(all []corev1.Taint) {
	if len(all) == 0 {
		p.line("Taints:\t<none>")
	}
	for i, t := range all {
		head := ""
		if i == 0 {
			head = "Taints:"
		}
		p.line("%s\t%s", head, t.ToString())
	}
}

// lease tells when the node's agent was heard of last.
func (p *page) lease(ctx context.Context, c Cluster, name string) {
	p.line("Lease:")
	p.in(func() {
		l, err := api.Leases.Get(ctx, c, api.Key{Namespace: corev1.NamespaceNodeLease, Name: name})
		if err != nil {
			p.line("Failed to get lease: %s", err)
			return
		}
		p.line("HolderIdentity:\t%s", valueOr(l.Spec.HolderIdentity, "<unset>"))
		p.line("AcquireTime:\t<unset>")
		renewed := "<unset>"
		if l.Spec.RenewTime != nil {
			renewed = l.Spec.RenewTime.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700")
		}
		p.line("RenewTime:\t%s", renewed)
	})
}

func (p *page) nodeConditions(all []corev1.NodeCondition) {
	if len(all) == 0 {
		return
	}
	var rows [][]string
	for _, c := range all {
		rows = append(rows, []string{string(c.Type), string(c.Status), date(c.LastHeartbeatTime), date(c.LastTransitionTime), c.Reason, c.Message})
	}
	p.line("Conditions:")
	p.in(func() {
		p.table([]string{"Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message"}, rows)
	})
}

func (p *page) systemInfo(i corev1.NodeSystemInfo) {
	p.line("System Info:")
	p.in(func() {
		for _, row := range [][2]string{
			{"Machine ID", i.MachineID}, {"System UUID", i.SystemUUID}, {"Boot ID", i.BootID}, {"Kernel Version", i.KernelVersion},
			{"OS Image", i.OSImage}, {"Operating System", i.OperatingSystem}, {"Architecture", i.Architecture},
			{"Container Runtime Version", i.ContainerRuntimeVersion}, {"Kubelet Version", i.KubeletVersion},
		} {
			p.line("%s:\t%s", row[0], row[1])
		}
	})
}

// podsOn lists what runs on a node and what that may use.
func (p *page) podsOn(ctx context.Context, c Cluster, n *corev1.Node) {
	all, err := api.Pods.List(ctx, c, "", api.ListOptions{Fields: fields.OneTermEqualSelector("spec.nodeName", n.Name)})
	if err != nil {
		return
	}
	var total usage
	var rows [][]string
	for _, pod := range all {
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		u := usageOf(pod)
		total.add(u)
		rows = append(rows, append(append([]string{pod.Namespace, pod.Name}, u.cells(n.Status.Allocatable)...), p.ago(pod.CreationTimestamp)))
	}
	p.line("Non-terminated Pods:\t(%d in total)", len(rows))
	p.in(func() {
		p.table([]string{"Namespace", "Name", "CPU Requests", "CPU Limits", "Memory Requests", "Memory Limits", "Age"}, rows)
	})
	p.line("Allocated resources:")
	p.in(func() {
		p.line("(Total limits may be over 100 percent, i.e., overcommitted.)")
		cells := total.cells(n.Status.Allocatable)
		p.table([]string{"Resource", "Requests", "Limits"}, [][]string{{"cpu", cells[0], cells[1]}, {"memory", cells[2], cells[3]}})
	})
}

// usage is what pods ask for and what they may take at most.
type usage struct{ cpu, cpuLimit, memory, memoryLimit resource.Quantity }

func (u *usage) add(o usage) {
	u.cpu.Add(o.cpu)
	u.cpuLimit.Add(o.cpuLimit)
	u.memory.Add(o.memory)
	u.memoryLimit.Add(o.memoryLimit)
}

func usageOf(pod *corev1.Pod) usage {
	var u usage
	for _, c := range pod.Spec.Containers {
		r := c.Resources
		u.add(usage{*r.Requests.Cpu(), *r.Limits.Cpu(), *r.Requests.Memory(), *r.Limits.Memory()})
	}
	return u
}

func (u usage) cells(of corev1.ResourceList) []string {
	return []string{share(u.cpu, *of.Cpu()), share(u.cpuLimit, *of.Cpu()), share(u.memory, *of.Memory()), share(u.memoryLimit, *of.Memory())}
}

func share(part, whole resource.Quantity) string {
	percent := int64(0)
	if whole.MilliValue() > 0 {
		percent = part.MilliValue() * 100 / whole.MilliValue()
	}
	return fmt.Sprintf("%s (%d%%)", part.String(), percent)
}
