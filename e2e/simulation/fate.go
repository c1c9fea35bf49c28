package simulation

import "optimist/internal/api"

// when a component is killed: before the request leaves, or after it was carried out.
type when bool

const (
	before when = false
	after  when = true
)

// fate kills one component at its k-th write; a node's agent at its k-th change of anything, Pod or container.
type fate struct {
	role   string
	left   int
	when   when
	struck bool
}

func (w *World) fated(l *link, r api.Request, t when) bool {
	f := w.fate
	if f == nil || f.role != l.role || l.role == "node" && (l.name != "n1" || !r.Kind.Is(api.PodKind)) {
		return false
	}
	return f.strikes(t)
}

func (w *World) fatedCall(who string, t when) bool {
	f := w.fate
	return f != nil && f.role == "node" && who == "n1" && f.strikes(t)
}

func (f *fate) strikes(t when) bool {
	if t == before {
		f.left--
	}
	if f.left != 0 || f.struck || t != f.when {
		return false
	}
	f.struck = true
	return true
}
