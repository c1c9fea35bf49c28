package proxy

import (
	"slices"
	"strings"

	"optimist/internal/api"
)

// Delta is what has to be done to a table, all at once: first the deletions. An element whose value changes is in both.
type Delta struct{ Delete, Add Model }

// diff makes the one of the other.
func diff(desired, programmed Model) Delta {
	d := Delta{Model{}, Model{}}
	for e, v := range programmed {
		if to, ok := desired[e]; !ok || to != v {
			d.Delete[e] = v
		}
	}
	for e, v := range desired {
		if from, ok := programmed[e]; !ok || from != v {
			d.Add[e] = v
		}
	}
	return d
}

// book has what every Service wants. Several may want the same element (a pod behind two Services, an external address named twice): of different
// values the smallest counts, whoever came first, so that only what is, not how it came about, decides what is programmed.
type book struct {
	wants      map[api.Key]Model
	values     map[Element][]string // sorted, one for each Service that wants the element
	touched    map[Element]bool     // since the last delta
	programmed Model                // once that delta has been applied
}

func newBook() *book {
	return &book{wants: map[api.Key]Model{}, values: map[Element][]string{}, touched: map[Element]bool{}, programmed: Model{}}
}

// put replaces what a Service wants.
func (b *book) put(by api.Key, m Model) {
	d := diff(m, b.wants[by])
	for e, v := range d.Delete {
		i, _ := slices.BinarySearch(b.values[e], v)
		b.values[e], b.touched[e] = slices.Delete(b.values[e], i, i+1), true
	}
	for e, v := range d.Add {
		i, _ := slices.BinarySearch(b.values[e], v)
		b.values[e], b.touched[e] = slices.Insert(b.values[e], i, v), true
	}
	if b.wants[by] = m; len(m) == 0 {
		delete(b.wants, by)
	}
}

// delta is what has changed since the last one.
func (b *book) delta() Delta {
	want, have := Model{}, Model{}
	for e := range b.touched {
		if v, ok := b.programmed[e]; ok {
			have[e] = v
		}
		if all := b.values[e]; len(all) > 0 {
			want[e], b.programmed[e] = all[0], all[0]
		} else {
			delete(b.values, e)
			delete(b.programmed, e)
		}
	}
	clear(b.touched)
	return diff(want, have)
}

// flows names the UDP frontends that a delta touches, and each with a backend after it that it has now.
func (b *book) flows(d Delta) map[string]bool {
	found := map[string]bool{}
	for _, m := range []Model{d.Delete, d.Add} {
		for e := range m {
			if e.Set != "hairpin" && e.Key[4] == protocols["UDP"] {
				found[e.Key[:12]] = true
			}
		}
	}
	for e, to := range b.programmed {
		if len(found) > 0 && strings.HasSuffix(e.Set, "_backends") && found[e.Key[:12]] {
			found[e.Key[:12]+to] = true
		}
	}
	return found
}
