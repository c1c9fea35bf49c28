// Package framework is the contract between the scheduler and its plugins.
//
//	pod ─▶ Filter.Prepare(pod) ─▶ func(node) *Reason    nil: fits; otherwise why not, in numbers
//	       Filter.Fixes(pod, node)                      what could be changed so that it fits (fix.go)
//	       Scorer.Prepare(pod) ─▶ func(node) int64      0 … 100, more is better
//
// A filter cannot exist without a reason: what it returns *is* the explanation that ends in the Pod's condition, its Event and the
// scheduler's decisions. And it says which changes in the cluster could make it change its mind (WakesOn), so that a pod that
// fits nowhere sleeps until something happens that can help it.
//
// Prepare looks at the pod once; the function that it returns is called for every node, reads only its argument, and is cheap.
//
// Real Kubernetes' scheduling framework has a dozen extension points (PreFilter, PostFilter, Reserve, Permit, PreBind …); two are enough to
// understand placement.
package framework

import (
	corev1 "k8s.io/api/core/v1"
)

// Reason is why a node does not fit. Two nodes with the same Text are counted together in messages.
type Reason struct {
	Plugin string `json:"plugin"`
	Text   string `json:"text"`           // in Kubernetes' words: "Insufficient cpu"
	Need   string `json:"need,omitempty"` // what the pod asks for
	Have   string `json:"have,omitempty"` // what the node could give
	// Preemptible is true when removing other pods from the node would help.
	Preemptible bool `json:"preemptible,omitempty"`
}

// Filter decides whether a node can take a pod at all.
type Filter interface {
	Name() string
	Prepare(pod *corev1.Pod) func(*Node) *Reason
	WakesOn() []Change
	// Fixes are the changes of which one would make it accept a node that it refuses, the smallest first; none if nothing that a person could
	// change would help. They are tried before anybody is told of them. Only `ctl why` asks.
	Fixes(pod *corev1.Pod, refused *Node) []Fix
}

// Scorer prefers some of the nodes that fit. Weight multiplies its points.
type Scorer interface {
	Name() string
	Weight() int64
	Prepare(pod *corev1.Pod, fitting []*Node) func(*Node) int64
}

// MaxScore is the most points that a scorer gives.
const MaxScore = 100

// Change is something that happened to the cluster and may make room.
type Change int

const (
	NodeAdded       Change = iota // a node appeared or became schedulable
	NodeAllocatable               // a node offers more
	NodeLabels
	NodeTaints
	PodGone // a pod that had a node finished or was deleted
)

// Node is a node as the scheduler sees it: immutable, replaced whole when anything about it changes.
type Node struct {
	*corev1.Node
	Allocatable Resources
	Requested   Resources // by the pods that are on it, or were just sent there
	Pods        []*corev1.Pod
}

// With returns the node with one more pod.
func (n *Node) With(p *corev1.Pod) *Node {
	m := *n
	m.Pods = append(append(make([]*corev1.Pod, 0, len(n.Pods)+1), n.Pods...), p)
	m.Requested = n.Requested.Plus(RequestsOf(p))
	return &m
}

// Without returns the node with one pod less.
func (n *Node) Without(p *corev1.Pod) *Node {
	m := *n
	m.Pods = make([]*corev1.Pod, 0, len(n.Pods))
	for _, q := range n.Pods {
		if q.UID == p.UID {
			m.Requested = m.Requested.Minus(RequestsOf(q))
			continue
		}
		m.Pods = append(m.Pods, q)
	}
	return &m
}
