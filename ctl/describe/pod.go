package describe

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

func pod(_ context.Context, _ Cluster, p *page, o *corev1.Pod) {
	p.podHead(o)
	p.podStatus(o)
	p.controller(o)
	p.containers("Init Containers", o.Spec.InitContainers, o.Status.InitContainerStatuses)
	p.containers("Containers", o.Spec.Containers, o.Status.ContainerStatuses)
	p.podConditions(o.Status.Conditions)
	p.volumes(o.Spec.Volumes)
	p.line("QoS Class:\t%s", orNone(string(o.Status.QOSClass)))
	p.line("Node-Selectors:\t%s", orNone(pairsOf(o.Spec.NodeSelector)))
	p.tolerations(o.Spec.Tolerations)
}

func (p *page) podHead(o *corev1.Pod) {
	p.line("Name:\t%s", o.Name)
	p.line("Namespace:\t%s", o.Namespace)
	p.line("Priority:\t%d", valueOr(o.Spec.Priority, 0))
	if o.Spec.PriorityClassName != "" {
		p.line("Priority Class Name:\t%s", o.Spec.PriorityClassName)
	}
	if o.Spec.ServiceAccountName != "" {
		p.line("Service Account:\t%s", o.Spec.ServiceAccountName)
	}
	node := o.Spec.NodeName
	if node != "" {
		node += "/" + o.Status.HostIP
	}
	p.line("Node:\t%s", orNone(node))
	if o.Status.StartTime != nil {
		p.line("Start Time:\t%s", date(*o.Status.StartTime))
	}
	p.labels("Labels", o.Labels)
	p.annotations(o.Annotations)
}

func (p *page) podStatus(o *corev1.Pod) {
	if o.DeletionTimestamp == nil {
		p.line("Status:\t%s", o.Status.Phase)
	} else {
		p.line("Status:\tTerminating (lasts %s)", p.ago(*o.DeletionTimestamp))
		p.line("Termination Grace Period:\t%ds", valueOr(o.DeletionGracePeriodSeconds, 0))
	}
	if o.Status.Reason != "" {
		p.line("Reason:\t%s", o.Status.Reason)
	}
	if o.Status.Message != "" {
		p.line("Message:\t%s", o.Status.Message)
	}
	p.line("IP:\t%s", o.Status.PodIP)
	if len(o.Status.PodIPs) == 0 {
		p.line("IPs:\t<none>")
		return
	}
	p.line("IPs:")
	p.in(func() {
		for _, ip := range o.Status.PodIPs {
			p.line("IP:\t%s", ip.IP)
		}
	})
}

func (p *page) podConditions(conditions []corev1.PodCondition) {
	if len(conditions) == 0 {
		return
	}
	p.line("Conditions:")
	p.in(func() {
		p.line("Type\tStatus")
		for _, c := range conditions {
			p.line("%s \t%s ", c.Type, c.Status)
		}
	})
}

func (p *page) tolerations(all []corev1.Toleration) {
	if len(all) == 0 {
		p.line("Tolerations:\t<none>")
		return
	}
	byKey := slices.SortedStableFunc(slices.Values(all), func(a, b corev1.Toleration) int { return strings.Compare(a.Key, b.Key) })
	for i, t := range byKey {
		head := ""
		if i == 0 {
			head = "Tolerations:"
		}
		p.line("%s\t%s", head, toleration(t))
	}
}

func toleration(t corev1.Toleration) string {
	text := t.Key
	if t.Value != "" {
		text += "=" + t.Value
	}
	if t.Effect != "" {
		text += ":" + string(t.Effect)
	}
	if t.Operator == corev1.TolerationOpExists && t.Value == "" {
		if t.Key != "" || t.Effect != "" {
			text += " "
		}
		text += "op=Exists"
	}
	if t.TolerationSeconds != nil {
		text += fmt.Sprintf(" for %ds", *t.TolerationSeconds)
	}
	return text
}

func pairsOf(set map[string]string) string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(set)) {
		pairs = append(pairs, key+"="+set[key])
	}
	return strings.Join(pairs, ",")
}
