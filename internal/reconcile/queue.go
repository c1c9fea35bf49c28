package reconcile

import (
	"container/heap"
	"sync"
	"time"

	"optimist/internal/api"
	"optimist/internal/wake"
)

const (
	firstBackoff = 5 * time.Millisecond
	maxBackoff   = 5 * time.Minute
)

// queue holds each key at most once, with the union of the reasons to look at it, ordered by when it is due and then by who came first.
// A key that is being worked on is not handed out again until it is done.
type queue struct {
	mu      sync.Mutex
	items   map[api.Key]*item
	waiting waiting
	busy    map[api.Key]bool
	fails   map[api.Key]int
	seq     uint64
	changed wake.Bell // rung when take may answer differently than before
}

type item struct {
	key    api.Key
	causes api.Causes
	due    time.Time
	seq    uint64
	place  int // in waiting; -1 while the key is busy
}

func newQueue() *queue {
	return &queue{items: map[api.Key]*item{}, busy: map[api.Key]bool{}, fails: map[api.Key]int{}, changed: wake.New()}
}

// add queues a key for `due`, or merges with what is queued: the earlier time counts.
func (q *queue) add(key api.Key, causes api.Causes, due time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.items[key]
	if it == nil {
		q.seq++
		it = &item{key: key, due: due, seq: q.seq, place: -1}
		q.items[key] = it
	}
	it.causes = it.causes.Merge(causes)
	if due.Before(it.due) {
		it.due = due
	}
	q.arrange(it)
}

// arrange puts an item where it belongs and lets the workers know.
func (q *queue) arrange(it *item) {
	switch {
	case q.busy[it.key]:
		return
	case it.place < 0:
		heap.Push(&q.waiting, it)
	default:
		heap.Fix(&q.waiting, it.place)
	}
	q.changed.Ring()
}

// take hands out the first key that is due. Without one it says how long until there is (0 = not before something is added).
func (q *queue) take(now time.Time) (key api.Key, causes api.Causes, wait time.Duration, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return key, causes, 0, false
	}
	first := q.waiting[0]
	if wait := first.due.Sub(now); wait > 0 {
		return key, causes, wait, false
	}
	heap.Pop(&q.waiting)
	delete(q.items, first.key)
	q.busy[first.key] = true
	if len(q.waiting) > 0 {
		q.changed.Ring() // for the next worker
	}
	return first.key, first.causes, 0, true
}

// done gives a key back. What was added meanwhile becomes available.
func (q *queue) done(key api.Key) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.busy, key)
	if it := q.items[key]; it != nil {
		q.arrange(it)
	}
}

// failed counts a failure and returns how long to wait after it: 5 ms, doubling up to five minutes.
func (q *queue) failed(key api.Key) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.fails[key]
	q.fails[key] = n + 1
	if n > 16 {
		return maxBackoff
	}
	return min(firstBackoff<<n, maxBackoff)
}

func (q *queue) succeeded(key api.Key) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.fails, key)
}

// waiting is a heap by due time, then by arrival.
type waiting []*item

func (w waiting) Len() int { return len(w) }
func (w waiting) Less(i, j int) bool {
	if !w[i].due.Equal(w[j].due) {
		return w[i].due.Before(w[j].due)
	}
	return w[i].seq < w[j].seq
}
func (w waiting) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].place, w[j].place = i, j
}
func (w *waiting) Push(x any) {
	it := x.(*item)
	it.place = len(*w)
	*w = append(*w, it)
}
func (w *waiting) Pop() any {
	last := len(*w) - 1
	it := (*w)[last]
	it.place = -1
	*w = (*w)[:last]
	return it
}
