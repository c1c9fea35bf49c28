package describe

import (
	"context"

	corev1 "k8s.io/api/core/v1"
)

func namespace(_ context.Context, _ Cluster, p *page, n *corev1.Namespace) {
	p.line("Name:\t%s", n.Name)
	p.labels("Labels", n.Labels)
	p.annotations(n.Annotations)
	p.line("Status:\t%s", n.Status.Phase)
	if len(n.Status.Conditions) == 0 {
		return
	}
	var rows [][]string
	for _, c := range n.Status.Conditions {
		rows = append(rows, []string{string(c.Type), string(c.Status), date(c.LastTransitionTime), c.Reason, c.Message})
	}
	p.line("Conditions:")
	p.in(func() { p.table([]string{"Type", "Status", "LastTransitionTime", "Reason", "Message"}, rows) })
}
