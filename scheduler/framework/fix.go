package framework

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Fix is one change that may make a filter accept a node, as data: whoever asks why can make a command of it.
type Fix struct {
	Kind      FixKind             `json:"kind"`
	Node      string              `json:"node,omitempty"`      // uncordon, label
	Key       string              `json:"key,omitempty"`       // label, selector, tolerate
	Value     string              `json:"value,omitempty"`     // of the label or taint; the new amount of a request
	Effect    corev1.TaintEffect  `json:"effect,omitempty"`    // tolerate
	Container string              `json:"container,omitempty"` // request: whose
	Resource  corev1.ResourceName `json:"resource,omitempty"`  // request, evict: of what
	Pods      []string            `json:"pods,omitempty"`      // evict: namespace/name of each

	// Cost compares fixes: smaller changes cost less.
	Cost int `json:"-"`
}

// FixKind is what a Fix does.
type FixKind string

const (
	Uncordon FixKind = "uncordon" // let the node take pods again
	Label    FixKind = "label"    // put a label on the node
	Tolerate FixKind = "tolerate" // let the pod tolerate a taint
	Selector FixKind = "selector" // take a label out of the pod's nodeSelector
	Request  FixKind = "request"  // lower what a container of the pod requests
	Evict    FixKind = "evict"    // remove other pods from the node
)

// Apply returns pod and node as they would be after the change.
func (f Fix) Apply(pod *corev1.Pod, n *Node) (*corev1.Pod, *Node) {
	switch f.Kind {
	case Uncordon, Label:
		m := *n
		m.Node = n.DeepCopy()
		if f.Kind == Label {
			if m.Labels == nil {
				m.Labels = map[string]string{}
			}
			m.Labels[f.Key] = f.Value
		} else {
			m.Spec.Unschedulable = false
			m.Spec.Taints = slices.DeleteFunc(m.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeUnschedulable })
		}
		return pod, &m
	case Evict:
		for _, p := range n.Pods {
			if slices.Contains(f.Pods, p.Namespace+"/"+p.Name) {
				n = n.Without(p)
			}
		}
		return pod, n
	}
	return f.toPod(pod.DeepCopy()), n
}

func (f Fix) toPod(p *corev1.Pod) *corev1.Pod {
	switch f.Kind {
	case Tolerate:
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: f.Key, Value: f.Value, Effect: f.Effect})
	case Selector:
		delete(p.Spec.NodeSelector, f.Key)
	case Request:
		for _, all := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
			for i := range all {
				if q, err := resource.ParseQuantity(f.Value); err == nil && all[i].Name == f.Container {
					all[i].Resources.Requests[f.Resource] = q
				}
			}
		}
	}
	return p
}
