package simulation

import (
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
	"optimist/internal/informer"
)

// stream is the watch of one kind by one component. It tells what the history says, as late as the dice want it.
type stream struct {
	life   *life
	set    *informer.Set
	track  *track
	open   bool
	listed bool // a whole list has been told at least once
	told   api.Revision
	next   int // the first change not told yet
	labels labels.Selector
	fields fields.Selector
}

// begin opens the watch as the set wants it. A list may be as old as the set allows, if stale says so.
func (s *stream) begin(stale bool) {
	w := s.life.w
	o := s.set.Open(s.track.kind)
	s.labels, s.fields = o.Selector, o.Fields
	if !o.Initial {
		if o.After < w.history.floor {
			w.say(s.life.name, "watch of %s after %d: compacted", s.track.kind, o.After)
			s.set.Lost(s.track.kind, apierrors.NewResourceExpired("compacted"))
			o = s.set.Open(s.track.kind)
		} else {
			s.open, s.told, s.next = true, o.After, s.track.after(o.After)
			return
		}
	}
	at := w.history.revision
	if oldest := max(o.NotOlderThan, w.history.floor); stale && oldest < at {
		at = oldest + api.Revision(w.dice.Int64N(int64(at-oldest)+1))
		w.say(s.life.name, "list of %s is served as of %d, now is %d", s.track.kind, at, w.history.revision)
	}
	var events []api.Event
	for _, obj := range s.track.asOf(at) {
		if s.selects(obj) {
			events = append(events, api.Event{Type: api.Added, Object: obj, Revision: api.RevisionOf(obj)})
		}
	}
	s.open, s.listed, s.told, s.next = true, true, at, s.track.after(at)
	s.set.Deliver(s.track.kind, append(events, api.Event{Type: api.Bookmark, Revision: at, InitialEnd: true}))
}

// lose ends the watch: what it has not told it will not tell.
func (s *stream) lose(err error) {
	s.open = false
	s.set.Lost(s.track.kind, err)
}

// behind reports whether something has happened that was not told.
func (s *stream) behind() bool { return !s.open || s.next < len(s.track.changes) }

// tell tells the changes of up to n revisions.
func (s *stream) tell(n int) {
	if !s.open {
		return
	}
	var events []api.Event
	for ; n > 0 && s.next < len(s.track.changes); n-- {
		r := s.track.changes[s.next].revision
		for ; s.next < len(s.track.changes) && s.track.changes[s.next].revision == r; s.next++ {
			if e, ok := s.event(s.track.changes[s.next]); ok {
				events = append(events, e)
			}
		}
		s.told = r
	}
	if s.next == len(s.track.changes) {
		s.told = s.life.w.history.revision
	}
	if len(events) == 0 || events[len(events)-1].Revision < s.told {
		events = append(events, api.Event{Type: api.Bookmark, Revision: s.told})
	}
	s.set.Deliver(s.track.kind, events)
}

// catchUp tells everything.
func (s *stream) catchUp() {
	if !s.open {
		s.begin(false)
	}
	s.tell(len(s.track.changes))
}

func (s *stream) event(c change) (api.Event, bool) {
	was, is := c.before != nil && s.selects(c.before), c.after != nil && s.selects(c.after)
	e := api.Event{Revision: c.revision, Object: c.after}
	switch {
	case !was && !is:
		return e, false
	case !is:
		e.Type = api.Deleted
		e.Object = c.before.DeepCopyObject().(api.Object)
		e.Object.SetResourceVersion(c.revision.String())
	case was:
		e.Type = api.Modified
	default:
		e.Type = api.Added
	}
	return e, true
}

func (s *stream) selects(o api.Object) bool {
	if s.labels != nil && !s.labels.Matches(labels.Set(o.GetLabels())) {
		return false
	}
	if s.fields == nil || s.fields.Empty() {
		return true
	}
	set := fields.Set{"metadata.name": o.GetName(), "metadata.namespace": o.GetNamespace()}
	if p, ok := o.(*corev1.Pod); ok {
		set["spec.nodeName"] = p.Spec.NodeName
	}
	return s.fields.Matches(set)
}

// streams are one for each kind that a set watches.
func streams(l *life, set *informer.Set) []*stream {
	var all []*stream
	for _, k := range set.Kinds() {
		all = append(all, &stream{life: l, set: set, track: l.w.history.tracks[k]})
	}
	return all
}

func synced(all []*stream) bool {
	return !slices.ContainsFunc(all, func(s *stream) bool { return !s.listed })
}
