package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// CauseType is why a write followed from an earlier one (law 7).
type CauseType string

const (
	CauseTrigger CauseType = "trigger" // the change of that revision was seen and acted on
	CauseOwner   CauseType = "owner"   // the object was made for the one that was written at that revision
	CauseWake    CauseType = "wake"    // the change made room for something that had waited
	CauseTimer   CauseType = "timer"   // time passed; Revision is what had set the timer, if known
	CauseRestart CauseType = "restart" // the component had just started and looked at everything
)

// Cause is one edge from a write back to an earlier revision.
type Cause struct {
	Type     CauseType `json:"type"`
	Revision Revision  `json:"revision"`
}

// String is the edge in short: "trigger@412".
func (c Cause) String() string { return string(c.Type) + "@" + c.Revision.String() }

// MaxCauses bounds the edges kept for one write.
const MaxCauses = 8

// Causes is a small set of edges. Beyond MaxCauses only their number is kept.
type Causes struct {
	Edges []Cause `json:"edges,omitempty"` // sorted, without doubles
	More  int     `json:"more,omitempty"`
}

// Add returns the set with further edges.
func (c Causes) Add(edges ...Cause) Causes {
	all := append(slices.Clone(c.Edges), edges...)
	slices.SortFunc(all, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Type, b.Type))
	})
	all = slices.Compact(all)
	more := c.More
	for ; len(all) > MaxCauses; more++ { // wakes say least, and of the others the newest most
		i := max(0, slices.IndexFunc(all, func(c Cause) bool { return c.Type == CauseWake }))
		all = slices.Delete(all, i, i+1)
	}
	return Causes{Edges: all, More: more}
}

// Merge returns the union of two sets: what a queue does with two reasons to look at one key.
func (c Causes) Merge(o Causes) Causes {
	m := c.Add(o.Edges...)
	m.More += o.More
	return m
}

// String is the newest edge and how many more there are: "trigger@412+2".
func (c Causes) String() string {
	n := len(c.Edges) - 1
	if n < 0 {
		return ""
	}
	if more := n + c.More; more > 0 {
		return fmt.Sprintf("%s+%d", c.Edges[n], more)
	}
	return c.Edges[n].String()
}

type causesKey struct{}

// WithCauses makes every write under ctx carry these causes in addition to those that ctx has.
func WithCauses(ctx context.Context, c Causes) context.Context {
	return context.WithValue(ctx, causesKey{}, CausesFrom(ctx).Merge(c))
}

// CausesFrom returns the causes of ctx.
func CausesFrom(ctx context.Context) Causes {
	c, _ := ctx.Value(causesKey{}).(Causes)
	return c
}
