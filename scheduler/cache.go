package scheduler

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"optimist/scheduler/framework"
)

// cache is the account of every node: what it offers, and which pods are on it or on their way to it.
type cache struct {
	nodes  map[string]*framework.Node
	placed map[types.UID]*corev1.Pod // with spec.nodeName set, also those only assumed so far
	sorted []*framework.Node         // by name; nil = make anew
}

func newCache() *cache {
	return &cache{nodes: map[string]*framework.Node{}, placed: map[types.UID]*corev1.Pod{}}
}

// snapshot is all nodes by name. The slice and what it points to never change.
func (c *cache) snapshot() []*framework.Node {
	if c.sorted == nil {
		c.sorted = make([]*framework.Node, 0, len(c.nodes))
		for _, name := range slices.Sorted(maps.Keys(c.nodes)) {
			c.sorted = append(c.sorted, c.nodes[name])
		}
	}
	return c.sorted
}

func (c *cache) put(n *framework.Node) {
	old := c.nodes[n.Name]
	c.nodes[n.Name] = n
	if i := slices.Index(c.sorted, old); old != nil && i >= 0 {
		c.sorted = slices.Clone(c.sorted)
		c.sorted[i] = n
		return
	}
	c.sorted = nil
}

// setNode enters a node and says what about it could help waiting pods.
func (c *cache) setNode(n *corev1.Node) []framework.Change {
	fresh := &framework.Node{Node: n, Allocatable: framework.FromList(n.Status.Allocatable)}
	old := c.nodes[n.Name]
	if old != nil {
		fresh.Pods, fresh.Requested = old.Pods, old.Requested
		c.put(fresh)
		return nodeChanges(old, fresh)
	}
	for _, p := range c.placed {
		if p.Spec.NodeName == n.Name {
			fresh = fresh.With(p)
		}
	}
	c.put(fresh)
	return []framework.Change{framework.NodeAdded}
}

func nodeChanges(old, n *framework.Node) []framework.Change {
	var changes []framework.Change
	if old.Spec.Unschedulable != n.Spec.Unschedulable || !equality.Semantic.DeepEqual(old.Spec.Taints, n.Spec.Taints) {
		changes = append(changes, framework.NodeTaints)
	}
	if !maps.Equal(old.Labels, n.Labels) {
		changes = append(changes, framework.NodeLabels)
	}
	if !maps.Equal(old.Allocatable, n.Allocatable) {
		changes = append(changes, framework.NodeAllocatable)
	}
	return changes
}

func (c *cache) removeNode(name string) {
	delete(c.nodes, name)
	c.sorted = nil
}

// place enters a pod on its node, in place of what was known of it.
func (c *cache) place(p *corev1.Pod) {
	if old := c.placed[p.UID]; old != nil && old.Spec.NodeName == p.Spec.NodeName && old.Generation == p.Generation {
		return // only its status or labels changed: the account stays
	}
	c.remove(p.UID)
	c.placed[p.UID] = p
	if n := c.nodes[p.Spec.NodeName]; n != nil {
		c.put(n.With(p))
	}
}

// remove takes a pod off its node and reports whether it was on one.
func (c *cache) remove(uid types.UID) bool {
	p := c.placed[uid]
	if p == nil {
		return false
	}
	delete(c.placed, uid)
	if n := c.nodes[p.Spec.NodeName]; n != nil {
		c.put(n.Without(p))
	}
	return true
}
