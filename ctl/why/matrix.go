package why

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Matrix is what the scheduler says about a pod: what each filter holds of each node, the nearest node first.
type Matrix struct {
	Filters []string `json:"filters"`
	Nodes   int      `json:"nodes"`
	Rows    []Row    `json:"rows"`
}

// Row is one node. Without reasons the pod fits there; Fixes, all of them together, would make it fit.
type Row struct {
	Node    string    `json:"node"`
	Reasons []*Reason `json:"reasons"` // of each filter; null = it accepts the node
	Fixes   []Fix     `json:"fixes"`
}

// Reason is why a filter refuses a node.
type Reason struct {
	Text string `json:"text"`
	Need string `json:"need"`
	Have string `json:"have"`
}

// Fix is one change, as the scheduler's framework describes it.
type Fix struct {
	Kind      string             `json:"kind"`
	Node      string             `json:"node"`
	Key       string             `json:"key"`
	Value     string             `json:"value"`
	Effect    corev1.TaintEffect `json:"effect"`
	Container string             `json:"container"`
	Resource  string             `json:"resource"`
	Pods      []string           `json:"pods"`
}

func (r Row) fits() bool {
	return !slices.ContainsFunc(r.Reasons, func(why *Reason) bool { return why != nil })
}

// needs says in words what is the matter with the nearest node.
func (r Row) needs() string {
	var all []string
	for _, why := range r.Reasons {
		if why != nil {
			all = append(all, why.String())
		}
	}
	return fmt.Sprintf("the nearest is %s, which says: %s", r.Node, strings.Join(all, "; "))
}

func (r *Reason) String() string {
	switch {
	case r == nil:
		return "✓"
	case r.Need != "" && r.Have != "":
		return fmt.Sprintf("%s (needs %s, has %s)", r.Text, r.Need, r.Have)
	case r.Have != "":
		return fmt.Sprintf("%s (%s)", r.Text, r.Have)
	}
	return r.Text
}

// table has a line for each node and a column for each filter.
func (m *Matrix) table() []string {
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\t"+strings.Join(m.Filters, "\t"))
	for _, r := range m.Rows {
		cells := []string{r.Node}
		for _, why := range r.Reasons {
			cells = append(cells, why.cell())
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	_ = w.Flush() // a buffer takes everything
	lines := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
	if more := m.Nodes - len(m.Rows); more > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more", more))
	}
	return lines
}

func (r *Reason) cell() string {
	switch {
	case r == nil:
		return "✓"
	case strings.HasPrefix(r.Text, "Insufficient "):
		return fmt.Sprintf("%s: needs %s, has %s", strings.TrimPrefix(r.Text, "Insufficient "), r.Need, r.Have)
	case r.Need != "":
		return fmt.Sprintf("needs %s, has %s", r.Need, r.Have)
	case r.Have != "":
		return r.Have
	}
	return r.Text
}

// commands are how a change is made, and another way to the same end.
func (f *Facts) commands(p *corev1.Pod, fix Fix) (try, or []string) {
	switch fix.Kind {
	case "uncordon":
		return []string{"uncordon " + fix.Node}, nil
	case "label":
		command := fmt.Sprintf("label node %s %s=%s", fix.Node, fix.Key, fix.Value)
		if n := f.node(fix.Node); n != nil && n.Labels[fix.Key] != "" {
			command += " --overwrite"
		}
		return []string{command}, f.edit(p, op{Op: "remove", Path: "/nodeSelector" + pointer(fix.Key)})
	case "selector":
		return f.edit(p, op{Op: "remove", Path: "/nodeSelector" + pointer(fix.Key)}), nil
	case "tolerate":
		return f.tolerate(p, fix), []string{fmt.Sprintf("taint nodes %s %s:%s-", fix.Node, fix.Key, fix.Effect)}
	case "request":
		return f.change(p, "set resources", fmt.Sprintf("-c %s --requests=%s=%s", fix.Container, fix.Resource, fix.Value)), nil
	case "evict":
		return f.evict(fix.Pods), nil
	}
	return nil, nil
}

// tolerate adds to the tolerations that the pod's author wrote; a pod has some of its own in any case.
func (f *Facts) tolerate(p *corev1.Pod, fix Fix) []string {
	wanted := corev1.Toleration{Key: fix.Key, Value: fix.Value, Effect: fix.Effect}
	if fix.Value == "" {
		wanted.Operator = corev1.TolerationOpExists
	}
	if set := f.setOf(p); set != nil && len(set.Spec.Template.Spec.Tolerations) == 0 {
		return f.edit(p, op{Op: "add", Path: "/tolerations", Value: []corev1.Toleration{wanted}})
	}
	return f.patchPod(p, op{Op: "add", Path: "/tolerations/-", Value: wanted})
}

// evict makes room: what has an owner that would make it anew is scaled down there, by as many pods as have to go; the rest is deleted.
func (f *Facts) evict(pods []string) (try []string) {
	fewer := map[*appsv1.Deployment]int{}
	for _, key := range pods {
		namespace, pod, _ := strings.Cut(key, "/")
		var d *appsv1.Deployment
		for _, p := range every(f, func(p *corev1.Pod) bool { return p.Namespace == namespace && p.Name == pod }) {
			d = f.deploymentOf(p)
		}
		if d == nil {
			try = append(try, f.in(namespace, "delete pod/"+pod))
			continue
		}
		fewer[d]++
	}
	for _, d := range slices.SortedFunc(maps.Keys(fewer), func(a, b *appsv1.Deployment) int { return strings.Compare(a.Name, b.Name) }) {
		try = append(try, f.in(d.Namespace, fmt.Sprintf("scale %s --replicas=%d", name(d), replicas(d.Spec.Replicas)-fewer[d])))
	}
	return try
}
