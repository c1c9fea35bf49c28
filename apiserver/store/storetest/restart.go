package storetest

import (
	"fmt"
	"reflect"
	"testing"

	"optimist/apiserver/store"
)

// restart closes a store with a history and compares what it knows before and after, twice: the second time compacted.
func restart(t *testing.T, s store.Store, reopen Reopen) {
	for i := range 100 {
		txn := store.Txn{Do: []store.Op{put(fmt.Sprint("/k/", i%7), fmt.Sprint(i)), del(fmt.Sprint("/k/", i%5))}, Note: fmt.Append(nil, "note ", i)}
		if i%7 == i%5 {
			txn.Do = txn.Do[:1]
		}
		if _, err := s.Commit(t.Context(), txn); err != nil {
			t.Fatal(err)
		}
	}
	for _, floor := range []store.Revision{0, 60, 100} {
		if err := s.Compact(t.Context(), floor); err != nil {
			t.Fatal(err)
		}
		before := remember(t, s, floor)
		s = reopen(t, s)
		if after := remember(t, s, floor); !reflect.DeepEqual(before, after) {
			t.Errorf("compacted at %d: before the restart\n%+v\nafter\n%+v", floor, before, after)
		}
		if floor > 1 {
			_, err := s.Get(t.Context(), "/k/1", floor-1)
			wantErr(t, "get after the restart", err, store.ErrCompacted)
		}
	}
	if rev := commit(t, s, put("/k/new", "x")); rev != 101 {
		t.Errorf("the first revision after the restart is %d, want 101", rev)
	}
}

// memory is all that can be read of a store.
type memory struct {
	now     store.Revision
	lists   map[store.Revision][]store.Entry
	batches []store.Batch
}

func remember(t *testing.T, s store.Store, floor store.Revision) memory {
	m := memory{now: now(t, s), lists: map[store.Revision][]store.Entry{}}
	for at := max(floor, 1); at <= m.now; at++ {
		entries, _, err := s.List(t.Context(), store.Range{}, at)
		if err != nil {
			t.Fatal(err)
		}
		m.lists[at] = entries
	}
	w := watch(t, s, "", floor)
	for rev := floor; rev < m.now; {
		b := w.batch()
		rev = b.Revision
		m.batches = append(m.batches, b)
	}
	return m
}
