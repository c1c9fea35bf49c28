package storetest

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"optimist/apiserver/store"
)

// Open returns an empty store, which it closes when the test ends.
type Open func(testing.TB) store.Store

// Reopen closes a store and opens its data again.
type Reopen func(testing.TB, store.Store) store.Store

// Run tests an implementation. Without a Reopen it need not survive being closed.
func Run(t *testing.T, open Open, reopen ...Reopen) {
	tests := []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"a guard must hold", guards},
		{"a transaction is applied wholly or not at all", allOrNothing},
		{"revisions have no gaps", revisions},
		{"what no store can hold is refused", refused},
		{"a deletion ends a key and its creation revision", deletions},
		{"a cancelled writer writes nothing", cancelledWriter},
		{"an empty value is a value", emptyValue},
		{"a thousand guarded increments from many writers", counter},
		{"lists are sorted, narrowed, limited and continued", lists},
		{"the past can be read", past},
		{"the future cannot be read", future},
		{"compaction forgets the past and nothing else", compaction},
		{"compaction goes on beside writers and readers", compactionBeside},
		{"a watch replays and goes on", watchReplay},
		{"a watch sees whole revisions under its prefix", watchWhole},
		{"a watch knows what was there before", watchPrev},
		{"a long replay meets live writers without a gap", watchBusy},
		{"progress tells quiet watches where they are", progress},
		{"a watch ends with its context", watchCancelled},
		{"a watch from before the compaction ends", watchCompacted},
		{"a slow watcher is dropped", watchSlow},
		{"closing ends everything", closing},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
	t.Run("any history reads like a map", func(t *testing.T) { model(t, open) })
	for _, again := range reopen {
		t.Run("everything is there after a restart", func(t *testing.T) { restart(t, open(t), again) })
	}
}

func put(key, value string) store.Op { return store.Op{Key: key, Value: []byte(value)} }
func del(key string) store.Op        { return store.Op{Key: key} }

func commit(t testing.TB, s store.Store, do ...store.Op) store.Revision {
	t.Helper()
	rev, err := s.Commit(t.Context(), store.Txn{Do: do})
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return rev
}

func get(t testing.TB, s store.Store, key string, at store.Revision) store.Entry {
	t.Helper()
	e, err := s.Get(t.Context(), key, at)
	if err != nil {
		t.Fatalf("get %s at %d: %v", key, at, err)
	}
	return e
}

func now(t testing.TB, s store.Store) store.Revision {
	t.Helper()
	rev, err := s.Now(t.Context())
	if err != nil {
		t.Fatalf("now: %v", err)
	}
	return rev
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

// puller reads a watch step by step.
type puller struct {
	t    testing.TB
	next func() (store.Batch, error, bool)
}

// watch opens one that ends with the test, and fails instead of blocking for ever.
func watch(t testing.TB, s store.Store, prefix string, after store.Revision) puller {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return pull(t, ctx, s, prefix, after)
}

func pull(t testing.TB, ctx context.Context, s store.Store, prefix string, after store.Revision) puller {
	t.Helper()
	seq, err := s.Watch(ctx, prefix, after)
	if err != nil {
		t.Fatalf("watch %s after %d: %v", prefix, after, err)
	}
	next, stop := iter.Pull2(seq)
	t.Cleanup(stop)
	return puller{t, next}
}

func (p puller) batch() store.Batch {
	p.t.Helper()
	b, err, ok := p.next()
	if !ok || err != nil {
		p.t.Fatalf("the watch ended early: %v", err)
	}
	return b
}

// end reads on until the watch ends, and returns the error.
func (p puller) end() error {
	p.t.Helper()
	for {
		_, err, ok := p.next()
		if !ok {
			p.t.Fatal("the watch ended without an error")
		}
		if err != nil {
			if _, _, more := p.next(); more {
				p.t.Error("the watch went on after its error")
			}
			return err
		}
	}
}
