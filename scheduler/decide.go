package scheduler

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"optimist/scheduler/framework"
)

// rules are the plugins that a decision asks.
type rules struct {
	filters []framework.Filter
	scorers []framework.Scorer
}

// decision is where a pod should go, or why it cannot go anywhere.
type decision struct {
	node    string                       // "" = nowhere
	score   int64                        // of that node
	rivals  int                          // how many other nodes would have done
	reasons map[string]*framework.Reason // by node: why not
	nodes   int                          // how many were asked
}

// decide asks every filter about every node, and every scorer about those that fit. Ties go to the first by name, rotated by
// the pod's uid so that they do not all go to the same node.
func (r rules) decide(pod *corev1.Pod, nodes []*framework.Node) decision {
	d := decision{nodes: len(nodes), reasons: map[string]*framework.Reason{}}
	fitting := r.filter(pod, nodes, d.reasons)
	if len(fitting) == 0 {
		return d
	}
	scores := r.score(pod, fitting)
	start := spin(pod) % len(fitting)
	best := start
	for i := range fitting {
		if at := (start + i) % len(fitting); scores[at] > scores[best] {
			best = at
		}
	}
	d.node, d.score, d.rivals = fitting[best].Name, scores[best], len(fitting)-1
	return d
}

func (r rules) filter(pod *corev1.Pod, nodes []*framework.Node, reasons map[string]*framework.Reason) []*framework.Node {
	asks := make([]func(*framework.Node) *framework.Reason, len(r.filters))
	for i, f := range r.filters {
		asks[i] = f.Prepare(pod)
	}
	fitting := make([]*framework.Node, 0, len(nodes))
nodes:
	for _, n := range nodes {
		for _, ask := range asks {
			if why := ask(n); why != nil {
				reasons[n.Name] = why
				continue nodes
			}
		}
		fitting = append(fitting, n)
	}
	return fitting
}

func (r rules) score(pod *corev1.Pod, nodes []*framework.Node) []int64 {
	scores := make([]int64, len(nodes))
	for _, s := range r.scorers {
		points, weight := s.Prepare(pod, nodes), s.Weight()
		for i, n := range nodes {
			scores[i] += points(n) * weight
		}
	}
	return scores
}

func spin(pod *corev1.Pod) int {
	h := 0
	for _, b := range []byte(pod.UID) {
		h = (h*31 + int(b)) & 0x7fffffff
	}
	return h
}

// refusedBy is the set of filters that refused at least one node: only what they wake on can help.
func (d decision) refusedBy() map[string]bool {
	set := map[string]bool{}
	for _, why := range d.reasons {
		set[why.Plugin] = true
	}
	return set
}

// message is the explanation in Kubernetes' form: "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable."
func (d decision) message() string {
	if d.nodes == 0 {
		return "0/0 nodes are available: no nodes have registered yet."
	}
	counts := map[string]int{}
	for _, why := range d.reasons {
		counts[why.Text]++
	}
	texts := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for i, text := range texts {
		texts[i] = fmt.Sprintf("%d %s", counts[text], text)
	}
	return fmt.Sprintf("0/%d nodes are available: %s.", d.nodes, strings.Join(texts, ", "))
}

// why is the decision in one line for the log, with the numbers of up to three nodes.
func (d decision) why() string {
	if d.node != "" {
		return fmt.Sprintf("best of %d nodes that fit (score %d); %d refused", d.rivals+1, d.score, len(d.reasons))
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(d.reasons)) {
		if len(lines) == 3 {
			lines = append(lines, "…")
			break
		}
		why := d.reasons[name]
		line := name + ": " + why.Text
		if why.Need != "" {
			line += fmt.Sprintf(" (needs %s, has %s)", why.Need, why.Have)
		}
		lines = append(lines, line)
	}
	return strings.Join(append([]string{d.message()}, lines...), " ")
}
