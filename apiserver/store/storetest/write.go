package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"optimist/apiserver/store"
)

func guards(t *testing.T, s store.Store) {
	first := commit(t, s, put("/a", "1"))
	second := commit(t, s, put("/a", "2"))
	for _, row := range []struct {
		name  string
		guard store.Guard
		have  store.Revision
		holds bool
	}{
		{"an old revision", store.Guard{Key: "/a", Mod: first}, second, false},
		{"the key exists, and must not", store.Guard{Key: "/a"}, second, false},
		{"the key does not exist, and must", store.Guard{Key: "/b", Mod: first}, 0, false},
		{"the key does not exist, as it should", store.Guard{Key: "/b"}, 0, true},
		{"the newest revision", store.Guard{Key: "/a", Mod: second}, second, true},
	} {
		_, err := s.Commit(t.Context(), store.Txn{If: []store.Guard{row.guard}, Do: []store.Op{put("/other", row.name)}})
		var conflict *store.Conflict
		switch {
		case row.holds && err != nil:
			t.Errorf("%s: got %v", row.name, err)
		case !row.holds && !errors.As(err, &conflict):
			t.Errorf("%s: got %v, want a conflict", row.name, err)
		case !row.holds && *conflict != store.Conflict{Key: row.guard.Key, Have: row.have, Want: row.guard.Mod}:
			t.Errorf("%s: got %+v, want Have %d", row.name, *conflict, row.have)
		}
	}
}

func allOrNothing(t *testing.T, s store.Store) {
	mod := commit(t, s, put("/a", "1"), put("/b", "1"))
	_, err := s.Commit(t.Context(), store.Txn{
		If: []store.Guard{{Key: "/a", Mod: mod}, {Key: "/b", Mod: mod + 1}},
		Do: []store.Op{put("/a", "2"), put("/c", "2")},
	})
	if err == nil {
		t.Fatal("a transaction with a false guard was applied")
	}
	if e := get(t, s, "/a", 0); string(e.Value) != "1" || get(t, s, "/c", 0).Mod != 0 || now(t, s) != mod {
		t.Errorf("a refused transaction left traces: /a = %s, now %d", e.Value, now(t, s))
	}
	next := commit(t, s, put("/a", "3"), del("/b"), put("/c", "3"))
	a, b, c := get(t, s, "/a", 0), get(t, s, "/b", 0), get(t, s, "/c", 0)
	if a.Mod != next || b.Mod != 0 || c.Mod != next || a.Create != mod || c.Create != next {
		t.Errorf("one revision expected: %+v %+v %+v", a, b, c)
	}
}

func revisions(t *testing.T, s store.Store) {
	if now(t, s) != 0 {
		t.Fatalf("an empty store is at revision %d", now(t, s))
	}
	txns := []store.Txn{
		{Do: []store.Op{put("/a", "1")}},
		{Do: []store.Op{put("/a", "1")}}, // the same again
		{Do: []store.Op{del("/nothing")}},
		{}, // only a guard holds
		{Note: []byte("only a note")},
	}
	for i, txn := range txns {
		rev, err := s.Commit(t.Context(), txn)
		if err != nil || rev != store.Revision(i+1) || now(t, s) != rev {
			t.Errorf("transaction %d: got revision %d, %v; now %d", i+1, rev, err, now(t, s))
		}
	}
}

func refused(t *testing.T, s store.Store) {
	for _, do := range [][]store.Op{{put("", "x")}, {put("/a\x00b", "x")}, {put("/a", "x"), del("/a")}} {
		if _, err := s.Commit(t.Context(), store.Txn{Do: do}); err == nil {
			t.Errorf("%v was accepted", do)
		}
	}
	if now(t, s) != 0 {
		t.Errorf("refused transactions took revisions up to %d", now(t, s))
	}
}

func deletions(t *testing.T, s store.Store) {
	first := commit(t, s, put("/a", "1"))
	commit(t, s, put("/a", "2"))
	gone := commit(t, s, del("/a"))
	if e := get(t, s, "/a", 0); e.Mod != 0 || e.Value != nil || e.Create != 0 {
		t.Errorf("a deleted key still has %+v", e)
	}
	if e := get(t, s, "/a", gone-1); string(e.Value) != "2" || e.Create != first {
		t.Errorf("before the deletion: got %+v", e)
	}
	again := commit(t, s, put("/a", "3"))
	if e := get(t, s, "/a", 0); e.Create != again || string(e.Value) != "3" {
		t.Errorf("a key created again has %+v", e)
	}
}

func cancelledWriter(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Commit(ctx, store.Txn{Do: []store.Op{put("/a", "1")}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if rev := commit(t, s, put("/b", "1")); rev != 1 || get(t, s, "/a", 0).Mod != 0 {
		t.Errorf("a write cancelled beforehand was applied")
	}
}

func emptyValue(t *testing.T, s store.Store) {
	rev := commit(t, s, store.Op{Key: "/a", Value: []byte{}})
	commit(t, s, put("/a", "x"))
	if e := get(t, s, "/a", rev); e.Mod != rev || e.Value == nil || len(e.Value) != 0 {
		t.Errorf("got %+v", e)
	}
	if c := watch(t, s, "", 0).batch().Changes; len(c) != 1 || c[0].Value == nil {
		t.Errorf("an empty value is watched as a deletion: %+v", c)
	}
}

// counter has writers read a number, and write it plus one if nobody was faster.
func counter(t *testing.T, s store.Store) {
	const writers, each = 16, 64
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				increment(t, s)
				commit(t, s, put(fmt.Sprintf("/own/%d", w), strconv.Itoa(i)))
			}
		})
	}
	group.Wait()
	if e := get(t, s, "/counter", 0); string(e.Value) != strconv.Itoa(writers*each) {
		t.Errorf("counted to %s, want %d", e.Value, writers*each)
	}
	if now(t, s) != 2*writers*each {
		t.Errorf("now %d, want %d: a revision is missing, or a refused transaction took one", now(t, s), 2*writers*each)
	}
}

func increment(t *testing.T, s store.Store) {
	for {
		e, err := s.Get(t.Context(), "/counter", 0)
		if err != nil {
			t.Error(err)
			return
		}
		n, _ := strconv.Atoi(string(e.Value)) // "" counts as 0
		_, err = s.Commit(t.Context(), store.Txn{
			If: []store.Guard{{Key: "/counter", Mod: e.Mod}},
			Do: []store.Op{put("/counter", strconv.Itoa(n+1))},
		})
		if _, conflict := errors.AsType[*store.Conflict](err); !conflict {
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
}
