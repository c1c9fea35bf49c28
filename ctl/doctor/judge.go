package doctor

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	corev1 "k8s.io/api/core/v1"
)

// judgeNodes tells what nodes say of themselves, and which are ready.
func judgeNodes(nodes []*corev1.Node) (findings []Finding, ready []string) {
	for _, n := range nodes {
		f, isReady := Finding{Bad, n.Name, "has not said that it is ready", "ctl why node/" + n.Name}, false
		for _, c := range n.Status.Conditions {
			switch {
			case c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue:
				f, isReady = Finding{OK, n.Name, "is ready", ""}, true
			case c.Type == corev1.NodeReady:
				f.Says = "is not ready: " + c.Message
			}
		}
		findings = append(findings, f)
		if i := slices.IndexFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeNetworkUnavailable && c.Status == corev1.ConditionTrue
		}); i >= 0 {
			findings = append(findings, Finding{Bad, n.Name, n.Status.Conditions[i].Message, "let UDP 4789 pass, in and out, in the firewall of this node (docs/ports.md)"})
		}
		if isReady {
			ready = append(ready, n.Name)
		}
	}
	return findings, ready
}

const firewalls = "let pods' packets pass both machines' firewalls (sudo ctl doctor on each), and UDP 4789 between them if they are not on one segment"

// between is what can be wrong between two nodes, the worst first, and what usually helps.
var between = []struct{ check, says, mend string }{
	{"tcp", "no TCP between pods on %s and %s", firewalls},
	{"udp", "no UDP between pods on %s and %s", firewalls},
	{"mtu", "packets of full size get lost between pods on %s and %s", "a link between them takes less than the pods' interfaces say: lower the machine's own MTU to what passes (ip link set DEV mtu N); pods that are made then fit"},
}

// judge makes findings of what the pods could not do. A pair of nodes is named once, by its worst fault.
func judge(answers map[string]Answers) (findings []Finding) {
	nodes := slices.Sorted(maps.Keys(answers))
	for i, a := range nodes {
		for _, b := range nodes[i:] {
			for _, m := range between {
				why := cmp.Or(answers[a][b+"/"+m.check], answers[b][a+"/"+m.check])
				if why != "" {
					findings = append(findings, Finding{Bad, a, fmt.Sprintf(m.says, a, b) + ": " + why, m.mend})
					break
				}
			}
		}
	}
	for _, m := range []struct{ check, says, mend string }{
		{"service/tcp", "a Service's address does not answer by TCP", "LOGS"},
		{"service/udp", "a Service's address does not answer by UDP", "LOGS"},
		{"dns", "names don't resolve", "LOGS   # does anything else hold port 53?"},
		{"api", "the API server can't be reached", "ctl get endpointslices -n default   # that address must be reachable from there"},
	} {
		var failed []string
		for _, n := range nodes {
			if answers[n][m.check] != "" {
				failed = append(failed, n)
			}
		}
		if len(failed) > 0 {
			findings = append(findings, Finding{Bad, failed[0], fmt.Sprintf("in pods on %s %s: %s", strings.Join(failed, ", "), m.says, answers[failed[0]][m.check]),
				strings.ReplaceAll(m.mend, "LOGS", "ctl logs --component node/"+failed[0])})
		}
	}
	if len(findings) == 0 && len(nodes) > 0 {
		findings = append(findings, Finding{OK, "network", fmt.Sprintf("pods on %d nodes reach each other, Services, DNS and the API server", len(nodes)), ""})
	}
	return findings
}

// Matrix prints who reached whom.
func Matrix(out io.Writer, answers map[string]Answers) error {
	nodes := slices.Sorted(maps.Keys(answers))
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, " FROM\tTO "+strings.Join(nodes, "\t")+"\tSERVICE\tDNS\tAPI")
	for _, from := range nodes {
		row := []string{" " + from}
		for _, to := range append(slices.Clone(nodes), "service") {
			row = append(row, cell(answers[from], to+"/tcp", to+"/udp", to+"/mtu"))
		}
		fmt.Fprintln(w, strings.Join(append(row, cell(answers[from], "dns"), cell(answers[from], "api")), "\t"))
	}
	return w.Flush()
}

// cell is "ok", or what failed.
func cell(a Answers, checks ...string) string {
	var failed []string
	for _, c := range checks {
		if _, no := a[c]; no {
			failed = append(failed, "no "+c[strings.LastIndex(c, "/")+1:])
		}
	}
	if len(failed) == 0 {
		return "ok"
	}
	return strings.Join(failed, ", ")
}
