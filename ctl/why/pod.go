package why

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
)

func podReady(p *corev1.Pod) bool {
	c := api.PodCondition(&p.Status, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

// placed is a pod that has a node and has not ended.
func placed(p *corev1.Pod) bool { return p.Spec.NodeName != "" && !api.Ended(p) }

func waiting(p *corev1.Pod) bool {
	return p.Spec.NodeName == "" && p.DeletionTimestamp == nil && !api.Ended(p)
}

func onMissingNode(f *Facts, p *corev1.Pod) *Cause {
	if !placed(p) || f.node(p.Spec.NodeName) != nil {
		return nil
	}
	if p.DeletionTimestamp != nil {
		return &Cause{Text: fmt.Sprintf("%s shall end, but its node %s does not exist, so nobody can say that it has ended", name(p), p.Spec.NodeName),
			Try: []string{f.in(p.Namespace, "delete "+name(p)+" --grace-period=0 --force")}}
	}
	return &Cause{Text: fmt.Sprintf("%s is bound to node %s by spec.nodeName, and there is no such node", name(p), p.Spec.NodeName),
		Try: f.edit(p, op{Op: "remove", Path: "/nodeName"})}
}

// onSickNode leads to the node. A pod that is to end there may also be given up.
func onSickNode(f *Facts, p *corev1.Pod) *Cause {
	n := f.node(p.Spec.NodeName)
	if !placed(p) || n == nil {
		return nil
	}
	text := ""
	if p.DeletionTimestamp != nil {
		text = "the agent there has to end it"
	}
	return &Cause{Text: text, below: []api.Object{n}}
}

func gated(f *Facts, p *corev1.Pod) *Cause {
	if !waiting(p) || len(p.Spec.SchedulingGates) == 0 {
		return nil
	}
	var gates []string
	for _, g := range p.Spec.SchedulingGates {
		gates = append(gates, g.Name)
	}
	return &Cause{Text: fmt.Sprintf("%s waits behind the scheduling gate %s, which whoever closed it has not opened yet", name(p), strings.Join(gates, ", ")),
		Try: f.patchPod(p, op{Op: "remove", Path: "/schedulingGates"})}
}

func otherScheduler(f *Facts, p *corev1.Pod) *Cause {
	if !waiting(p) || p.Spec.SchedulerName == corev1.DefaultSchedulerName {
		return nil
	}
	return &Cause{Text: fmt.Sprintf("%s waits for a scheduler named %s; this cluster's is %s", name(p), p.Spec.SchedulerName, corev1.DefaultSchedulerName),
		Try: f.edit(p, op{Op: "replace", Path: "/schedulerName", Value: corev1.DefaultSchedulerName})}
}

func noScheduler(f *Facts, p *corev1.Pod) *Cause {
	if !waiting(p) || !f.absent("scheduler") {
		return nil
	}
	return &Cause{Text: fmt.Sprintf("no scheduler runs, so nobody looks for a node for %s", name(p)), Try: f.start("scheduler")}
}

func fitsNowhere(f *Facts, p *corev1.Pod) *Cause {
	m := f.Matrix[p.Name]
	if !waiting(p) || m == nil {
		return nil
	}
	if len(m.Rows) == 0 {
		return &Cause{Text: fmt.Sprintf("%s waits for a node, and the cluster has none", name(p)), Try: []string{f.Start}}
	}
	best := m.Rows[0]
	if best.fits() {
		return nil
	}
	if len(best.Fixes) == 0 { // nothing that a person could change: then it is the nodes
		var nodes []api.Object
		for _, r := range m.Rows {
			if n := f.node(r.Node); n != nil {
				nodes = append(nodes, n)
			}
		}
		return &Cause{Text: "no other node takes it", below: nodes}
	}
	c := &Cause{Text: fmt.Sprintf("%s fits on none of %s; %s", name(p), count(m.Nodes, "node"), best.needs()), Evidence: m.table()}
	for _, fix := range best.Fixes {
		try, or := f.commands(p, fix)
		c.Try, c.Or = append(c.Try, try...), append(c.Or, or...)
	}
	if len(best.Fixes) > 1 {
		c.Or = nil // other ways of one change are none of several
	}
	return c
}

// fitsNothing is what remains when no change and no node's return would help.
func fitsNothing(f *Facts, p *corev1.Pod) *Cause {
	m := f.Matrix[p.Name]
	if !waiting(p) || m == nil || len(m.Rows) == 0 || m.Rows[0].fits() || slices.ContainsFunc(m.Rows, func(r Row) bool {
		n := f.node(r.Node)
		return n != nil && recovering(n) != ""
	}) {
		return nil
	}
	return &Cause{Text: fmt.Sprintf("%s fits on none of %s; %s", name(p), count(m.Nodes, "node"), m.Rows[0].needs()), Evidence: m.table(),
		Try: []string{"describe node " + m.Rows[0].Node}}
}

// notStarted is what the node's agent has complained of, when no container says it.
func notStarted(f *Facts, p *corev1.Pod) *Cause {
	warnings := f.warnings(p)
	if !placed(p) || podReady(p) || len(warnings) == 0 {
		return nil
	}
	for _, reason := range []string{"FailedCreatePodSandBox", "FailedKillPod"} {
		if e := warnings[0]; e.Reason == reason {
			return &Cause{Text: fmt.Sprintf("node %s cannot go on with %s: %s", p.Spec.NodeName, name(p), e.Message),
				Evidence: []string{fmt.Sprintf("%s, %d times since %s", e.Reason, max(1, e.Count), e.FirstTimestamp.UTC().Format(time.RFC3339))},
				Try:      []string{"logs --component agent --node " + p.Spec.NodeName}}
		}
	}
	return nil
}

func readinessGate(f *Facts, p *corev1.Pod) *Cause {
	c := api.PodCondition(&p.Status, corev1.PodReady)
	if !placed(p) || c == nil || c.Reason != "ReadinessGatesNotReady" {
		return nil
	}
	for _, g := range p.Spec.ReadinessGates {
		if have := api.PodCondition(&p.Status, g.ConditionType); have == nil || have.Status != corev1.ConditionTrue {
			say := map[string]any{"status": map[string]any{"conditions": []map[string]string{{"type": string(g.ConditionType), "status": "True"}}}}
			return &Cause{Text: fmt.Sprintf("all containers of %s are ready, but its readiness gate %s is not: whoever that is for has not set the condition", name(p), g.ConditionType),
				Try: []string{f.in(p.Namespace, fmt.Sprintf("patch %s --subresource=status -p %s", name(p), quoted(say)))}}
		}
	}
	return nil
}

// podState is a pod about which no rule has anything to say.
func podState(f *Facts, p *corev1.Pod) (bool, string) {
	total, ready, waits := len(p.Spec.Containers), 0, ""
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if s.State.Waiting != nil && waits == "" {
			waits = s.State.Waiting.Reason
		}
	}
	for _, s := range p.Status.ContainerStatuses {
		if s.Ready {
			ready++
		}
	}
	switch {
	case p.DeletionTimestamp != nil:
		return false, "is ending"
	case p.Status.Phase == corev1.PodSucceeded:
		return true, "is well: it has ended with exit code 0"
	case podReady(p):
		return true, fmt.Sprintf("is well: %d of %s ready on node %s", ready, count(total, "container"), p.Spec.NodeName)
	case p.Spec.NodeName == "":
		if m := f.Matrix[p.Name]; m != nil && len(m.Rows) > 0 && m.Rows[0].fits() {
			return false, fmt.Sprintf("is on its way: it fits on node %s, and the scheduler tries again within seconds", m.Rows[0].Node)
		}
		return false, "is on its way: it waits for a node"
	case waits != "":
		return false, fmt.Sprintf("is on its way: %s on node %s", waits, p.Spec.NodeName)
	}
	return false, fmt.Sprintf("is on its way: %d of %s ready on node %s", ready, count(total, "container"), p.Spec.NodeName)
}

// count is "1 node" or "3 nodes".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
