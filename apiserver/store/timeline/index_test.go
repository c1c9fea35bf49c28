package timeline

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"optimist/apiserver/store"
)

// Many blocks, filled, split, thinned out and merged, know the same as a plain list of versions.
func TestIndexAgainstList(t *testing.T) {
	for seed := range uint64(5) {
		random := rand.New(rand.NewPCG(seed, 0))
		x, floor := NewIndex(), store.Revision(0)
		var list []Version // by revision
		for rev := store.Revision(1); rev <= 12_000; rev++ {
			v := Version{Key: fmt.Sprintf("/k/%d", random.IntN(1+random.IntN(3000))), Mod: rev, Gone: random.IntN(6) == 0}
			x.Add(v)
			list = append(list, v)
			if rev%1500 == 0 {
				floor += store.Revision(random.Int64N(int64(rev - floor)))
				compactBoth(t, x, &list, floor)
				r := store.Range{Prefix: "/k/" + []string{"", "1", "29", "x"}[random.IntN(4)], From: []string{"", "/k/15", "/z"}[random.IntN(3)], Limit: random.IntN(3) * 70}
				at := floor + store.Revision(random.Int64N(int64(rev-floor)+1))
				if got, want := x.List(r, at), listed(list, r, at); !slices.Equal(got, want) {
					t.Fatalf("seed %d: %+v as of %d: %d versions, want %d", seed, r, at, len(got), len(want))
				}
				for _, v := range seen(list, at) {
					if got := x.At(v.Key, at); got != v && (got != Version{} || !v.Gone) {
						t.Fatalf("seed %d: %s as of %d is %+v, want %+v", seed, v.Key, at, got, v)
					}
				}
			}
		}
	}
}

// seen is the last version of each key, gone or not, that a revision sees.
func seen(list []Version, at store.Revision) map[string]Version {
	last := map[string]Version{}
	for _, v := range list {
		if v.Mod <= at {
			last[v.Key] = v
		}
	}
	return last
}

func listed(list []Version, r store.Range, at store.Revision) (found []Version) {
	for _, v := range seen(list, at) {
		if strings.HasPrefix(v.Key, r.Prefix) && v.Key >= r.From && !v.Gone {
			found = append(found, v)
		}
	}
	slices.SortFunc(found, func(a, b Version) int { return cmp.Compare(a.Key, b.Key) })
	if r.Limit > 0 {
		found = found[:min(r.Limit, len(found))]
	}
	return found
}

func compactBoth(t *testing.T, x *Index, list *[]Version, floor store.Revision) {
	t.Helper()
	needed := seen(*list, floor)
	dropped := map[Version]bool{}
	*list = slices.DeleteFunc(*list, func(v Version) bool {
		gone := v.Mod <= floor && (v.Gone || needed[v.Key] != v)
		if gone {
			dropped[v] = true
		}
		return gone
	})
	got := map[Version]bool{}
	for _, v := range x.compact(floor) {
		got[v] = true
	}
	if !reflect.DeepEqual(got, dropped) {
		t.Fatalf("compacted at %d: %d versions dropped, want %d", floor, len(got), len(dropped))
	}
	all := 0
	for i, b := range x.blocks {
		if all += len(b); len(b) == 0 || len(b) >= blockSize {
			t.Fatalf("block %d has %d versions", i, len(b))
		}
	}
	if all != len(*list)+1 {
		t.Fatalf("%d versions are left, want %d", all-1, len(*list))
	}
}
