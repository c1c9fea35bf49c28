package scheduler

import (
	"container/heap"
	"slices"
	"time"

	"optimist/internal/api"
	"optimist/scheduler/framework"
)

const (
	firstBackoff = time.Second
	maxBackoff   = 10 * time.Second
)

// item is a pod that wants a node.
type item struct {
	key       api.Key
	priority  int32
	seq       int // order of arrival
	causes    api.Causes
	attempts  int
	refusedBy map[string]bool // after a failure: the filters that said no; empty = try again without waiting for a change
	tried     time.Time       // when it failed last
	due       time.Time       // when it will be tried again; zero = not before something wakes it
	popped    int             // number of wakes when it was taken out
	ready     bool            // in the active heap
}

// queue holds the pods that want a node: ready to be tried, in back-off, or waiting for a change that can help. It has one owner: the
// scheduler's mutex. Its size is bounded by the number of pods in the cluster.
type queue struct {
	items  map[api.Key]*item
	active activeHeap
	wakes  int // counts calls of wake
	seq    int
	helps  map[string][]framework.Change // filter → what can change its mind
}

func newQueue(filters []framework.Filter) *queue {
	q := &queue{items: map[api.Key]*item{}, helps: map[string][]framework.Change{}}
	for _, f := range filters {
		q.helps[f.Name()] = f.WakesOn()
	}
	return q
}

// add puts a pod in front of the scheduler at once: it is new, or its own spec has changed.
func (q *queue) add(key api.Key, priority int32, causes api.Causes) {
	it := q.items[key]
	if it == nil {
		q.seq++
		it = &item{key: key, seq: q.seq}
		q.items[key] = it
	}
	it.priority, it.causes, it.refusedBy = priority, it.causes.Merge(causes), nil
	q.activate(it)
}

func (q *queue) remove(key api.Key) {
	if it := q.items[key]; it != nil {
		delete(q.items, key)
		if i := slices.Index(q.active, it); it.ready && i >= 0 {
			heap.Remove(&q.active, i)
		}
	}
}

// pop takes the most urgent pod out: highest priority first, then first come first served. If none is due, one that was woken is taken before its
// back-off ends: nobody has to stand back for nobody (KEP-5142). nil if there is nothing to do.
func (q *queue) pop(now time.Time) *item {
	for _, it := range q.items {
		if !it.ready && !it.due.IsZero() && !it.due.After(now) {
			q.activate(it)
		}
	}
	if len(q.active) == 0 {
		q.hurry()
	}
	if len(q.active) == 0 {
		return nil
	}
	it := heap.Pop(&q.active).(*item)
	it.ready, it.popped, it.due = false, q.wakes, time.Time{}
	return it
}

// hurry activates the pod whose back-off ends first, of those that a change may have helped. After a failed write time alone helps.
func (q *queue) hurry() {
	var first *item
	for _, it := range q.items {
		if !it.due.IsZero() && len(it.refusedBy) > 0 && (first == nil || it.due.Before(first.due) || it.due.Equal(first.due) && it.seq < first.seq) {
			first = it
		}
	}
	if first != nil {
		q.activate(first)
	}
}

// failed puts a pod back. It sleeps until one of the filters that refused it may change its mind; if something happened while it was
// being decided on, or no filter refused it, it is tried again after its back-off.
func (q *queue) failed(it *item, refusedBy map[string]bool, now time.Time) {
	if q.items[it.key] != it || it.ready {
		return // deleted, or changed, meanwhile
	}
	it.attempts++
	it.refusedBy, it.tried = refusedBy, now
	if len(refusedBy) == 0 || q.wakes != it.popped {
		it.due = it.tried.Add(it.backoff())
	}
}

// wake sends those waiting pods back for which one of the changes can help, after what is left of their back-off.
func (q *queue) wake(changes []framework.Change, revision api.Revision) {
	q.wakes++
	for _, it := range q.items {
		if it.ready || !it.due.IsZero() || !q.canHelp(it, changes) {
			continue
		}
		it.causes = it.causes.Add(api.Cause{Type: api.CauseWake, Revision: revision})
		it.due = it.tried.Add(it.backoff())
	}
}

func (q *queue) canHelp(it *item, changes []framework.Change) bool {
	for filter := range it.refusedBy {
		for _, c := range changes {
			if slices.Contains(q.helps[filter], c) {
				return true
			}
		}
	}
	return false
}

// next is when the next back-off ends; zero if nothing is timed.
func (q *queue) next() time.Time {
	var next time.Time
	for _, it := range q.items {
		if !it.ready && !it.due.IsZero() && (next.IsZero() || it.due.Before(next)) {
			next = it.due
		}
	}
	return next
}

func (q *queue) activate(it *item) {
	if !it.ready {
		it.ready, it.due = true, time.Time{}
		heap.Push(&q.active, it)
	}
}

// backoff is 0 before the first failure, then 1 s, doubling to 10 s.
func (it *item) backoff() time.Duration {
	if it.attempts == 0 {
		return 0
	}
	return min(maxBackoff, firstBackoff<<min(it.attempts-1, 10))
}

type activeHeap []*item

func (h activeHeap) Len() int { return len(h) }
func (h activeHeap) Less(i, j int) bool {
	if h[i].priority != h[j].priority {
		return h[i].priority > h[j].priority
	}
	return h[i].seq < h[j].seq
}
func (h activeHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *activeHeap) Push(x any)   { *h = append(*h, x.(*item)) }
func (h *activeHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
