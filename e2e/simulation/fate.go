package simulation

import "optimist/internal/api"

// when a component is killed: before the request leaves, or after it was carried out.
type when bool

const (
	before when = false
	after  when = true
)

// fate kills one component at its k-th write (or, for a node, its k-th change of any sort).
type fate struct {
	who, role string // of the process or node; of a controller
	left      int
	when      when
	struck    bool
}

func (w *World) fated(l *link, r api.Request, t when) bool {
	f := w.fate
	if f == nil || f.who != l.name || f.role != l.role || r.Kind.Is(api.LeaseKind) {
		return false
	}
	return f.strikes(t)
}

func (w *World) fatedCall(who string, t when) bool {
	f := w.fate
	return f != nil && f.who == who && f.role == "node" && f.strikes(t)
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
