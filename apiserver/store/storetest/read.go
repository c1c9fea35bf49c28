package storetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"optimist/apiserver/store"
)

// keys joins the keys of a list, for comparing.
func keys(entries []store.Entry) string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Key)
	}
	return strings.Join(all, " ")
}

func lists(t *testing.T, s store.Store) {
	commit(t, s, put("/p/b", "1"), put("/p/a", "1"), put("/p", "1"), put("/q/a", "1"), put("/p/a/x", "1"), put("/p/a\x01", "1"), put("/p/a\xff", "1"))
	commit(t, s, put("/p/a", "2"), put("/p/dead", "2"))
	last := commit(t, s, del("/p/dead"))
	for _, row := range []struct {
		name string
		r    store.Range
		want string
	}{
		{"all", store.Range{}, "/p /p/a /p/a\x01 /p/a/x /p/a\xff /p/b /q/a"},
		{"a prefix", store.Range{Prefix: "/p/"}, "/p/a /p/a\x01 /p/a/x /p/a\xff /p/b"},
		{"a prefix that is a key", store.Range{Prefix: "/p/a"}, "/p/a /p/a\x01 /p/a/x /p/a\xff"},
		{"a prefix of nothing", store.Range{Prefix: "/x"}, ""},
		{"a limit", store.Range{Prefix: "/p/", Limit: 2}, "/p/a /p/a\x01"},
		{"a limit above what is there", store.Range{Prefix: "/q", Limit: 9}, "/q/a"},
		{"from a key on", store.Range{Prefix: "/p/", From: "/p/a/x"}, "/p/a/x /p/a\xff /p/b"},
		{"from just after a key", store.Range{Prefix: "/p/", From: "/p/a\x00", Limit: 1}, "/p/a\x01"},
		{"from just after a key with longer ones", store.Range{Prefix: "/p/", From: "/p/a/x\x00"}, "/p/a\xff /p/b"},
		{"from before the prefix", store.Range{Prefix: "/p/", From: "/a", Limit: 1}, "/p/a"},
		{"from after the prefix", store.Range{Prefix: "/p/", From: "/q"}, ""},
	} {
		entries, at, err := s.List(t.Context(), row.r, 0)
		if err != nil || at != last || keys(entries) != row.want {
			t.Errorf("%s: got %q at %d, %v; want %q", row.name, keys(entries), at, err, row.want)
		}
	}
}

func past(t *testing.T, s store.Store) {
	first := commit(t, s, put("/a", "1"), put("/b", "1"))
	commit(t, s, put("/a", "2"))
	third := commit(t, s, del("/b"), put("/c", "3"))
	if a, b := get(t, s, "/a", first), get(t, s, "/b", first); string(a.Value) != "1" || a.Mod != first || b.Mod != first {
		t.Errorf("at %d: %+v %+v", first, a, b)
	}
	for at, want := range map[store.Revision]string{first: "/a /b", first + 1: "/a /b", third: "/a /c", 0: "/a /c"} {
		entries, answer, err := s.List(t.Context(), store.Range{}, at)
		if err != nil || keys(entries) != want || at != 0 && answer != at {
			t.Errorf("at %d: got %q at %d, %v; want %q", at, keys(entries), answer, err, want)
		}
	}
}

func future(t *testing.T, s store.Store) {
	next := commit(t, s, put("/a", "1")) + 1
	_, err := s.Get(t.Context(), "/a", next)
	wantErr(t, "get", err, store.ErrFuture)
	_, _, err = s.List(t.Context(), store.Range{}, next)
	wantErr(t, "list", err, store.ErrFuture)
	_, err = s.Watch(t.Context(), "", next)
	wantErr(t, "watch", err, store.ErrFuture)
	wantErr(t, "compact", s.Compact(t.Context(), next), store.ErrFuture)
}

func compaction(t *testing.T, s store.Store) {
	commit(t, s, put("/kept", "old"), put("/gone", "1"))
	commit(t, s, put("/kept", "new"))
	floor := commit(t, s, del("/gone"))
	last := commit(t, s, put("/kept", "newest"), put("/gone", "again"))
	for range 2 { // compacting again, or less, changes nothing
		if err := s.Compact(t.Context(), floor); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, "compact less", s.Compact(t.Context(), 1), nil)
	for at := store.Revision(1); at < floor; at++ {
		_, err := s.Get(t.Context(), "/kept", at)
		wantErr(t, "get", err, store.ErrCompacted)
		_, _, err = s.List(t.Context(), store.Range{}, at)
		wantErr(t, "list", err, store.ErrCompacted)
	}
	if e := get(t, s, "/kept", floor); string(e.Value) != "new" || e.Create != 1 {
		t.Errorf("at the compacted revision: %+v", e)
	}
	if e := get(t, s, "/gone", floor); e.Mod != 0 {
		t.Errorf("a deleted key came back: %+v", e)
	}
	if e := get(t, s, "/gone", 0); e.Create != last {
		t.Errorf("now: %+v", e)
	}
	if err := s.Compact(t.Context(), last); err != nil || now(t, s) != last {
		t.Errorf("compacting everything: %v; now %d", err, now(t, s))
	}
	if rev := commit(t, s, put("/kept", "x")); rev != last+1 || string(get(t, s, "/kept", last).Value) != "newest" {
		t.Errorf("after compacting everything the next revision is %d", rev)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if b := pull(t, ctx, s, "", last).batch(); string(b.Changes[0].Prev) != "newest" {
		t.Errorf("a watch from the compacted revision has lost the previous value: %+v", b)
	}
}

// compactionBeside compacts close behind writers, and lists in between.
func compactionBeside(t *testing.T, s store.Store) {
	const writers, each = 4, 150
	var group, readers sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				commit(t, s, put(fmt.Sprintf("/k/%d/%d", w, i%5), fmt.Sprint(i)), put(fmt.Sprintf("/w/%d", w), fmt.Sprint(i)))
				commit(t, s, del(fmt.Sprintf("/k/%d/%d", w, (i+1)%5)))
			}
		})
	}
	done := make(chan struct{})
	readers.Go(func() {
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			if _, at, err := s.List(t.Context(), store.Range{}, 0); err != nil {
				t.Errorf("list at %d: %v", at, err)
			} else if err := s.Compact(t.Context(), max(at-5, 0)); err != nil {
				t.Errorf("compact: %v", err)
			}
		}
	})
	group.Wait()
	close(done)
	readers.Wait()
	entries, at, err := s.List(t.Context(), store.Range{Prefix: "/k/"}, 0)
	if err != nil || at != 2*writers*each || len(entries) != 4*writers {
		t.Errorf("got %d entries at %d, %v; want %d at %d", len(entries), at, err, 4*writers, 2*writers*each)
	}
}
