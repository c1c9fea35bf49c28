package reconcile

import (
	"testing"
	"time"

	"optimist/internal/api"
)

func trigger(revisions ...api.Revision) api.Causes {
	var c api.Causes
	for _, r := range revisions {
		c = c.Add(api.Cause{Type: api.CauseTrigger, Revision: r})
	}
	return c
}

func TestQueue(t *testing.T) {
	now := time.Unix(1000, 0)
	a, b := api.Key{Name: "a"}, api.Key{Name: "b"}
	q := newQueue()
	expect := func(when time.Time, want api.Key, edges int) {
		t.Helper()
		key, causes, _, ok := q.take(when)
		if !ok || key != want || len(causes.Edges) != edges {
			t.Fatalf("take: got %v %v %v, want %v with %d causes", key, causes, ok, want, edges)
		}
	}
	nothing := func(when time.Time, wait time.Duration) {
		t.Helper()
		if key, _, got, ok := q.take(when); ok || got != wait {
			t.Fatalf("take: got %v, wait %v; want nothing for %v", key, got, wait)
		}
	}
	nothing(now, 0)

	q.add(a, trigger(1), now)
	q.add(b, trigger(2), now)
	q.add(a, trigger(3), now)
	expect(now, a, 2) // in order of arrival, once, with both reasons

	q.add(a, trigger(4), now)
	expect(now, b, 1)
	nothing(now, 0) // a is being worked on
	q.done(a)
	expect(now, a, 1) // and came again meanwhile
	q.done(a)
	q.done(b)

	q.add(a, trigger(5), now.Add(time.Minute))
	nothing(now, time.Minute)
	q.add(a, trigger(6), now.Add(time.Second)) // the earlier time counts
	nothing(now, time.Second)
	expect(now.Add(time.Second), a, 2)
	q.done(a)
	nothing(now.Add(time.Hour), 0)
}

func TestBackoff(t *testing.T) {
	q, a := newQueue(), api.Key{Name: "a"}
	var last time.Duration
	for range 100 {
		pause := q.failed(a)
		if pause < last {
			t.Fatalf("the pause shrank from %v to %v", last, pause)
		}
		last = pause
	}
	if last != maxBackoff {
		t.Fatalf("the pause ended at %v", last)
	}
	q.succeeded(a)
	if pause := q.failed(a); pause != firstBackoff {
		t.Fatalf("after a success the first pause is %v", pause)
	}
}
