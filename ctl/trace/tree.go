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
// The journal is a graph: a write may have several causes. Each stands below the newest of them, which was the last that its author had waited for;
// but where that is another of a series (an author who deletes one Pod after the other), beside it.
//
// Start reading at Tree.Add, then Tree.Print.
//
// Invariants: a write is in the tree if, and only if, an edge (trigger, owner, timer, restart) leads from it to another that is; wakes are shown
// where they lead, and nothing follows from them. Nothing here asks anybody, so every tree can be made again from its entries.
//
// A set of causes keeps api.MaxCauses edges: wakes are dropped first, then the oldest. That loses nothing of a tree whose root is the last change of
// its workload: what others did comes only as wakes, and all other edges that are newer than the root lead to it, so the newest do. Where
// several changes of one workload are under way, the older tree may miss what both led to; such a write's causes say how many more they were.
//
// Real Kubernetes cannot tell: its objects name their owners, but not the change that made somebody write them.
package trace

import (
	"cmp"
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
	parent   *Node
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
	if t.nodes[e.Revision] != nil || cause == nil && woke == nil {
		return nil
	}
	n := &Node{Entry: e, After: e.Time.Sub(t.Root.Time), Wake: cause == nil}
	if cause != nil {
		t.nodes[e.Revision] = n
	}
	n.parent = cmp.Or(cause, woke)
	for n.parent.parent != nil && n.parent.User == n.User && n.parent.sort() == n.sort() {
		n.parent = n.parent.parent
	}
	n.parent.Children = append(n.parent.Children, n)
	return n
}

// Has reports whether a write is part of the tree.
func (t *Tree) Has(r api.Revision) bool { return t.nodes[r] != nil }
