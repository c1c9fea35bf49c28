package storetest

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"optimist/apiserver/store"
)

func watchReplay(t *testing.T, s store.Store) {
	for i := range 5 {
		if _, err := s.Commit(t.Context(), store.Txn{Do: []store.Op{put("/a", fmt.Sprint(i))}, Note: fmt.Append(nil, "note ", i)}); err != nil {
			t.Fatal(err)
		}
	}
	w := watch(t, s, "/", 2)
	for rev := store.Revision(3); rev <= 8; rev++ {
		if rev > 5 {
			commit(t, s, put("/a", fmt.Sprint(rev-1)))
		}
		b := w.batch()
		if b.Revision != rev || string(b.Changes[0].Value) != fmt.Sprint(rev-1) {
			t.Fatalf("got revision %d = %s, want %d", b.Revision, b.Changes[0].Value, rev)
		}
		if want := fmt.Sprint("note ", rev-1); rev <= 5 && string(b.Note) != want {
			t.Errorf("got note %q, want %q", b.Note, want)
		}
	}
}

func watchWhole(t *testing.T, s store.Store) {
	w := watch(t, s, "/p/", 0)
	commit(t, s, put("/q/a", "1"))
	both := commit(t, s, put("/p/b", "1"), put("/q/b", "1"), put("/p/a", "1"))
	commit(t, s, del("/p/none"))
	last := commit(t, s, del("/p/b"))
	b := w.batch()
	var seen []string
	for _, c := range b.Changes {
		seen = append(seen, c.Key)
	}
	if b.Revision != both || len(seen) != 2 || !strings.Contains(fmt.Sprint(seen), "/p/a") {
		t.Errorf("got revision %d with %v, want /p/a and /p/b at %d", b.Revision, seen, both)
	}
	if b := w.batch(); b.Revision != last || b.Changes[0].Value != nil {
		t.Errorf("got %+v, want the deletion at %d", b, last)
	}
}

func watchPrev(t *testing.T, s store.Store) {
	live := watch(t, s, "", 0)
	commit(t, s, put("/a", "1"))
	commit(t, s, put("/a", "2"))
	commit(t, s, del("/a"))
	commit(t, s, put("/a", "4"))
	one, two, four := []byte("1"), []byte("2"), []byte("4")
	want := []store.Change{
		{Key: "/a", Value: one, Create: 1},
		{Key: "/a", Value: two, Prev: one, Create: 1, PrevMod: 1},
		{Key: "/a", Prev: two, Create: 1, PrevMod: 2},
		{Key: "/a", Value: four, Create: 4},
	}
	for name, w := range map[string]puller{"live": live, "replayed": watch(t, s, "", 0)} {
		for i, change := range want {
			if b := w.batch(); b.Revision != store.Revision(i+1) || !reflect.DeepEqual(b.Changes, []store.Change{change}) {
				t.Errorf("%s: got %d %+v, want %+v", name, b.Revision, b.Changes, change)
			}
		}
	}
}

// watchBusy replays a long history while writers add to it.
func watchBusy(t *testing.T, s store.Store) {
	const before, writers, each = 1000, 8, 100
	for range before {
		commit(t, s, put("/a", "x"))
	}
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for range each {
				commit(t, s, put(fmt.Sprint("/b/", w), "x"))
			}
		})
	}
	w := watch(t, s, "/", 0)
	for rev := store.Revision(1); rev <= before+writers*each; rev++ {
		if b := w.batch(); b.Revision != rev {
			t.Fatalf("got revision %d, want %d", b.Revision, rev)
		}
	}
	group.Wait()
}

func progress(t *testing.T, s store.Store) {
	quiet, busy := watch(t, s, "/quiet", 0), watch(t, s, "/busy", 0)
	for round := range 3 {
		rev := commit(t, s, put("/busy", fmt.Sprint(round)))
		if err := s.Progress(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b := quiet.batch(); b.Revision < rev || len(b.Changes) != 0 {
			t.Errorf("the quiet watch got %+v, want an empty batch at %d", b, rev)
		}
		if b := busy.batch(); b.Revision != rev || len(b.Changes) != 1 {
			t.Errorf("the busy watch got %+v, want the change at %d first", b, rev)
		}
		if b := busy.batch(); b.Revision < rev || len(b.Changes) != 0 {
			t.Errorf("the busy watch got %+v, want an empty batch at %d", b, rev)
		}
	}
}

func watchCancelled(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	w := pull(t, ctx, s, "", 0)
	commit(t, s, put("/a", "1"))
	w.batch()
	cancel()
	wantErr(t, "watch", w.end(), context.Canceled)
}

func watchCompacted(t *testing.T, s store.Store) {
	commit(t, s, put("/a", "1"))
	behind := watch(t, s, "", 0)
	last := commit(t, s, put("/a", "2"))
	if err := s.Compact(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	_, err := s.Watch(t.Context(), "", last-1)
	wantErr(t, "a new watch", err, store.ErrCompacted)
	wantErr(t, "an old watch that had not read on", behind.end(), store.ErrCompacted)
	w := watch(t, s, "", last)
	if rev := commit(t, s, put("/a", "3")); w.batch().Revision != rev {
		t.Error("a watch from the compacted revision misses the next one")
	}
}

// watchSlow has a reader pause while more is written than any store should keep in memory for it.
func watchSlow(t *testing.T, s store.Store) {
	w, attentive := watch(t, s, "", 0), watch(t, s, "", 0)
	commit(t, s, put("/a", "1"))
	if err := s.Progress(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.batch()
	w.batch() // up to date now
	attentive.batch()
	attentive.batch()
	value := strings.Repeat("x", 256<<10)
	for range 512 { // 128 MB
		rev := commit(t, s, put("/a", value))
		if b := attentive.batch(); b.Revision != rev {
			t.Fatalf("who reads on got %d, want %d", b.Revision, rev)
		}
	}
	wantErr(t, "the slow watch", w.end(), store.ErrSlow)
}

func closing(t *testing.T, s store.Store) {
	w := watch(t, s, "", 0)
	commit(t, s, put("/a", "1"))
	w.batch()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "watch", w.end(), store.ErrClosed)
	_, err := s.Get(t.Context(), "/a", 0)
	wantErr(t, "get", err, store.ErrClosed)
	_, _, err = s.List(t.Context(), store.Range{}, 0)
	wantErr(t, "list", err, store.ErrClosed)
	_, err = s.Commit(t.Context(), store.Txn{Do: []store.Op{put("/a", "2")}})
	wantErr(t, "commit", err, store.ErrClosed)
	_, err = s.Watch(t.Context(), "", 0)
	wantErr(t, "a new watch", err, store.ErrClosed)
	_, err = s.Now(t.Context())
	wantErr(t, "now", err, store.ErrClosed)
	wantErr(t, "progress", s.Progress(t.Context()), store.ErrClosed)
	wantErr(t, "compact", s.Compact(t.Context(), 1), store.ErrClosed)
	if err := s.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}
