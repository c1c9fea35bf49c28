package watch

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync"

	"optimist/internal/api"
)

// pod is what selections look at.
type pod struct{ app, node string }

// record is one write: what the pod was before, and after; nil = it did not exist.
type record struct {
	revision      api.Revision
	key           api.Key
	before, after *pod
}

// version is a pod as of some revision.
type version struct {
	pod
	revision api.Revision
}

// journal is all that has happened.
type journal struct {
	mu      sync.Mutex
	records []record // in the order of revisions up to the end of the last phase
	phases  []phase
}

// phase is how things stood when it began.
type phase struct {
	first int // index into records
	pods  map[api.Key]version
}

func newJournal() *journal { return &journal{phases: []phase{{pods: map[api.Key]version{}}}} }

func (j *journal) add(r record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.records = append(j.records, r)
}

// end closes a phase, when nobody writes.
func (j *journal) end() error {
	last := j.phases[len(j.phases)-1]
	slices.SortFunc(j.records[last.first:], func(a, b record) int { return cmp.Compare(a.revision, b.revision) })
	for i := max(last.first, 1); i < len(j.records); i++ {
		if j.records[i].revision <= j.records[i-1].revision {
			return fmt.Errorf("revision %d was given twice, or late", j.records[i].revision)
		}
	}
	j.phases = append(j.phases, phase{len(j.records), replay(last.pods, j.records[last.first:])})
	return nil
}

func replay(pods map[api.Key]version, records []record) map[api.Key]version {
	pods = maps.Clone(pods)
	for _, r := range records {
		if delete(pods, r.key); r.after != nil {
			pods[r.key] = version{*r.after, r.revision}
		}
	}
	return pods
}

// upTo is how many records are not newer than a revision.
func (j *journal) upTo(r api.Revision) int {
	return sort.Search(len(j.records), func(i int) bool { return j.records[i].revision > r })
}

// at is all pods as of a revision.
func (j *journal) at(r api.Revision) map[api.Key]version {
	n := j.upTo(r)
	p := j.phases[sort.Search(len(j.phases), func(i int) bool { return j.phases[i].first > n })-1]
	return replay(p.pods, j.records[p.first:n])
}

// told is one event as a watcher remembers it.
type told struct {
	kind     api.EventType
	key      api.Key
	pod      pod
	revision api.Revision
}

// news is what a selection should be told of (after, to].
func (j *journal) news(s selection, after, to api.Revision) (all []told) {
	for _, r := range j.records[j.upTo(after):j.upTo(to)] {
		was, is := r.before != nil && s.picks(r.key, *r.before), r.after != nil && s.picks(r.key, *r.after)
		switch {
		case was && is:
			all = append(all, told{api.Modified, r.key, *r.after, r.revision})
		case is:
			all = append(all, told{api.Added, r.key, *r.after, r.revision})
		case was:
			all = append(all, told{api.Deleted, r.key, *r.before, r.revision})
		}
	}
	return all
}

// initial is what a selection should be told of what exists at a revision, in the order of keys.
func (j *journal) initial(s selection, at api.Revision) (all []told) {
	for key, v := range j.at(at) {
		if s.picks(key, v.pod) {
			all = append(all, told{api.Added, key, v.pod, v.revision})
		}
	}
	slices.SortFunc(all, byKey)
	return all
}

func byKey(a, b told) int {
	return cmp.Or(cmp.Compare(a.key.Namespace, b.key.Namespace), cmp.Compare(a.key.Name, b.key.Name))
}
