package plugins

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/scheduler/framework"
)

// NodeSelector demands the labels of spec.nodeSelector of a node.
type NodeSelector struct{}

func (NodeSelector) Name() string { return "NodeSelector" }

func (NodeSelector) WakesOn() []framework.Change {
	return []framework.Change{framework.NodeAdded, framework.NodeLabels}
}

func (s NodeSelector) Prepare(pod *corev1.Pod) func(*framework.Node) *framework.Reason {
	want := labels.SelectorFromSet(pod.Spec.NodeSelector)
	return func(n *framework.Node) *framework.Reason {
		if want.Matches(labels.Set(n.Labels)) {
			return nil
		}
		return &framework.Reason{Plugin: s.Name(), Text: "node(s) didn't match Pod's node affinity/selector",
			Need: want.String(), Have: having(n, pod.Spec.NodeSelector)}
	}
}

// having is what a node has of the labels that are wanted.
func having(n *framework.Node, wanted map[string]string) string {
	found := labels.Set{}
	for key := range wanted {
		if value, ok := n.Labels[key]; ok {
			found[key] = value
		}
	}
	return cmp.Or(found.String(), "none of them")
}

// Fixes: a label that people give is given; one that says what the node is (kubernetes.io/os …) had better not be asked for.
func (NodeSelector) Fixes(pod *corev1.Pod, n *framework.Node) []framework.Fix {
	for _, key := range slices.Sorted(maps.Keys(pod.Spec.NodeSelector)) {
		value := pod.Spec.NodeSelector[key]
		have, ok := n.Labels[key]
		prefix, _, _ := strings.Cut(key, "/")
		switch {
		case ok && have == value:
		case prefix == "kubernetes.io" || strings.HasSuffix(prefix, ".kubernetes.io"):
			return []framework.Fix{{Kind: framework.Selector, Key: key, Cost: 3}}
		case ok: // it would be taken from others who want the old value
			return []framework.Fix{{Kind: framework.Label, Node: n.Name, Key: key, Value: value, Cost: 4}}
		default:
			return []framework.Fix{{Kind: framework.Label, Node: n.Name, Key: key, Value: value, Cost: 2}}
		}
	}
	return nil
}
