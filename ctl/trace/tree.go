// Package trace makes a tree of what came of one write, out of the journal's entries.
//
//	         deployment/web: kubernetes-admin with ctl, patch (revision 41)
//	  +3 ms  ├─ replicaset/web-5d9: controller deployment, create
//	  +7 ms  │  ├─ pod/web-5d9-x1: controller replicaset, create
//	  +9 ms  │  │  └─ pod/web-5d9-x1: scheduler, bind
//	 +12 ms  │  │     └─ pod/web-5d9-x1: node n1, patch status · container web started
//	+0.8 s   │  └─ … and 48 more pods, until +1.4 s
//	 +13 ms  └┄ pod/other: scheduler, bind                       (it only made room: not followed further)
//
// The journal is a graph: a write may have several causes. Each stands below the newest of them, which was the last that its author had waited for.
//
// Start reading at Tree.Add, then Tree.Print.
//
// Invariants: a write is in the tree if, and only if, an edge (trigger, owner, timer, restart) leads from it to another that is; wakes are shown
// where they lead, and nothing follows from them. Nothing here asks anybody, so every tree can be made again from its entries.
//
// A set of causes keeps api.MaxCauses edges, the newest. That loses nothing of a tree whose root is the last change of its workload: all edges
// of a write that are newer than the root lead to it, so the newest do. Where several changes of one workload are under way, or a write sums
// up many workloads, the oldest change may be left out; entries whose causes overflowed say so (More).
//
// Real Kubernetes cannot tell: its objects name their owners, but not the change that made somebody write them.
package trace

import (
	"time"

	"optimist/internal/api"
)

// Node is a write in the tree.
type Node struct {
	api.Entry
	After    time.Duration `json:"after"`          // the root, in nanoseconds
	Said     string        `json:"said,omitempty"` // by the object about itself: see Said
	Wake     bool          `json:"wake,omitempty"` // it was only woken by the write above it
	Children []*Node       `json:"children,omitempty"`
}

// Tree grows while entries are added in the order of their revisions.
type Tree struct {
	Root  *Node
	nodes map[api.Revision]*Node
}

// New returns the tree of a write of which nothing has come yet.
func New(root api.Entry) *Tree {
	n := &Node{Entry: root}
	return &Tree{Root: n, nodes: map[api.Revision]*Node{root.Revision: n}}
}

// Add puts a write below what caused it; nil if it has nothing to do with the root. What was only woken is shown, but is not part of the tree.
func (t *Tree) Add(e api.Entry) *Node {
	var cause, woke *Node
	for _, c := range e.Causes.Edges { // they are sorted: the newest comes last
		switch n := t.nodes[c.Revision]; {
		case n == nil:
		case c.Type == api.CauseWake:
			woke = n
		default:
			cause = n
		}
	}
	n := &Node{Entry: e, After: e.Time.Sub(t.Root.Time)}
	switch {
	case t.nodes[e.Revision] != nil:
		return nil
	case cause != nil:
		t.nodes[e.Revision] = n
		cause.Children = append(cause.Children, n)
	case woke != nil:
		n.Wake = true
		woke.Children = append(woke.Children, n)
	default:
		return nil
	}
	return n
}

// Has reports whether a write is part of the tree.
func (t *Tree) Has(r api.Revision) bool { return t.nodes[r] != nil }
