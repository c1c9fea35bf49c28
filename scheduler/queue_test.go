package scheduler

import (
	"testing"
	"time"

	"optimist/internal/api"
	"optimist/scheduler/framework"
	"optimist/scheduler/plugins"
)

var (
	began       = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	web, db     = api.Key{Namespace: "default", Name: "web"}, api.Key{Namespace: "default", Name: "db"}
	byResources = map[string]bool{"Resources": true}
)

func (q *queue) expect(t *testing.T, now time.Time, want api.Key) *item {
	t.Helper()
	it := q.pop(now)
	if it == nil || it.key != want {
		t.Fatalf("popped %v, want %s", it, want)
	}
	return it
}

func TestQueueGivesUrgentThenOldFirst(t *testing.T) {
	q := newQueue(plugins.Filters())
	q.add(web, 0, api.Causes{})
	q.add(db, 10, api.Causes{})
	q.add(api.Key{Name: "late"}, 0, api.Causes{})
	q.expect(t, began, db)
	q.expect(t, began, web)
	q.expect(t, began, api.Key{Name: "late"})
}

func TestRefusedPodSleepsUntilWhatCanHelp(t *testing.T) {
	q := newQueue(plugins.Filters())
	q.add(web, 0, api.Causes{})
	q.failed(q.expect(t, began, web), byResources, began)
	if it := q.pop(began.Add(time.Hour)); it != nil {
		t.Fatal("it was tried again although nothing has happened")
	}
	q.wake([]framework.Change{framework.NodeLabels}, 7)
	if it := q.pop(began.Add(time.Hour)); it != nil {
		t.Fatal("new labels of a node woke a pod that lacks memory")
	}
	q.wake([]framework.Change{framework.PodGone}, 8)
	q.add(db, 0, api.Causes{})
	q.expect(t, began, db) // whoever has not failed comes first
	it := q.expect(t, began, web)
	if want := (api.Cause{Type: api.CauseWake, Revision: 8}); len(it.causes.Edges) != 1 || it.causes.Edges[0] != want {
		t.Errorf("causes %v, want %v", it.causes, want)
	}
}

func TestChangeDuringTheDecisionIsNotMissed(t *testing.T) {
	q := newQueue(plugins.Filters())
	q.add(web, 0, api.Causes{})
	it := q.expect(t, began, web)
	q.wake([]framework.Change{framework.PodGone}, 8)
	q.failed(it, byResources, began)
	q.expect(t, began.Add(firstBackoff), web)
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	q := newQueue(plugins.Filters())
	q.add(web, 0, api.Causes{})
	now := began
	for _, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		q.failed(q.expect(t, now, web), nil, now)
		if got := q.next().Sub(now); got != want*time.Second {
			t.Fatalf("back-off %v, want %ds", got, want)
		}
		now = q.next()
	}
}

func TestRemovedPodDoesNotComeBack(t *testing.T) {
	q := newQueue(plugins.Filters())
	q.add(web, 0, api.Causes{})
	it := q.expect(t, began, web)
	q.remove(web)
	q.failed(it, nil, began)
	if got := q.pop(began.Add(time.Hour)); got != nil {
		t.Fatalf("%s came back", got.key)
	}
}
