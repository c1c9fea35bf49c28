package scheduler

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
	"optimist/internal/console"
	"optimist/scheduler/framework"
)

const (
	maxRows  = 10 // of an explanation: more than that nobody reads
	maxFixes = 8  // for one node
)

// explanation is what every filter says of every node, where a decision is content with the first refusal of each.
type explanation struct {
	Object  string   `json:"object"`
	Filters []string `json:"filters"`
	Nodes   int      `json:"nodes"` // how many there are
	Rows    []row    `json:"rows"`  // those that lack least
}

// row is one node.
type row struct {
	Node    string              `json:"node"`
	Reasons []*framework.Reason `json:"reasons"`         // of each filter; nil = it accepts the node
	Fixes   []framework.Fix     `json:"fixes,omitempty"` // the smallest change after which the pod would fit; none if it fits, or nothing would help
}

func (r row) refusals() (n int) {
	for _, why := range r.Reasons {
		if why != nil {
			n++
		}
	}
	return n
}

// explain asks every filter about every node, and finds the smallest change that would let the pod fit there. The nearest node comes first.
func (r rules) explain(pod *corev1.Pod, nodes []*framework.Node) explanation {
	x := explanation{Object: "pod/" + api.KeyOf(pod).String(), Nodes: len(nodes), Rows: make([]row, len(nodes))}
	asks := make([]func(*framework.Node) *framework.Reason, len(r.filters))
	for i, f := range r.filters {
		x.Filters, asks[i] = append(x.Filters, f.Name()), f.Prepare(pod)
	}
	for i, n := range nodes {
		x.Rows[i] = row{Node: n.Name, Fixes: r.fixes(pod, n)}
		for _, ask := range asks {
			x.Rows[i].Reasons = append(x.Rows[i].Reasons, ask(n))
		}
	}
	slices.SortStableFunc(x.Rows, nearer)
	x.Rows = x.Rows[:min(len(x.Rows), maxRows)]
	return x
}

// fixes finds changes after which a node is accepted, by trying: the first that helps with the first refusal, then on to the next one.
func (r rules) fixes(pod *corev1.Pod, n *framework.Node) (all []framework.Fix) {
	for range maxFixes {
		f, why := r.refusal(pod, n)
		if why == nil {
			return all
		}
		fix, ok := helping(f, why, pod, n)
		if !ok {
			return nil
		}
		all = append(all, fix)
		pod, n = fix.Apply(pod, n)
	}
	return nil
}

func helping(f framework.Filter, why *framework.Reason, pod *corev1.Pod, n *framework.Node) (framework.Fix, bool) {
	for _, fix := range f.Fixes(pod, n) {
		p, m := fix.Apply(pod, n)
		if still := f.Prepare(p)(m); still == nil || *still != *why {
			return fix, true
		}
	}
	return framework.Fix{}, false
}

func (r rules) refusal(pod *corev1.Pod, n *framework.Node) (framework.Filter, *framework.Reason) {
	for _, f := range r.filters {
		if why := f.Prepare(pod)(n); why != nil {
			return f, why
		}
	}
	return nil, nil
}

// nearer orders rows: what fits, then what fits after the fewest and smallest changes, then what nothing would help.
func nearer(a, b row) int {
	rank := func(r row) (hopeless, count, cost int) {
		if r.refusals() > 0 && len(r.Fixes) == 0 {
			hopeless = 1
		}
		for _, f := range r.Fixes {
			cost += f.Cost
		}
		return hopeless, len(r.Fixes), cost
	}
	hopelessA, countA, costA := rank(a)
	hopelessB, countB, costB := rank(b)
	return cmp.Or(cmp.Compare(hopelessA, hopelessB), cmp.Compare(countA, countB), cmp.Compare(costA, costB), cmp.Compare(a.refusals(), b.refusals()))
}

// connectExplain answers with the explanation of one pod (pod=namespace/name) as JSON.
func (s *Scheduler) connectExplain(ctx context.Context, params url.Values) (api.Stream, error) {
	namespace, name, _ := strings.Cut(params.Get("pod"), "/")
	pod, ok := s.pods.Get(api.Key{Namespace: namespace, Name: name})
	switch {
	case !ok:
		return nil, api.PodKind.NotFound(name)
	case pod.Spec.NodeName != "":
		return nil, apierrors.NewBadRequest("pod " + name + " has a node: " + pod.Spec.NodeName)
	}
	s.mu.Lock()
	nodes := s.cache.snapshot()
	s.mu.Unlock()
	text, err := json.Marshal(s.rules.explain(pod, nodes))
	if err != nil {
		return nil, err
	}
	return console.Text(ctx, text), nil
}
