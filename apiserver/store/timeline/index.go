package timeline

import (
	"slices"
	"sort"
	"strings"

	"optimist/apiserver/store"
)

// Version tells that a revision wrote a key, or deleted it, as the change of this number in its batch.
type Version struct {
	Key  string
	Mod  store.Revision
	Sub  uint32
	Gone bool
}

// Index has the versions of all keys in order of key and revision, but no values: what is asked "as of" a revision is answered here. A version takes
// 32 bytes, in blocks that are half full or better; all versions of a key share its string.
type Index struct {
	blocks [][]Version // none is empty; the very first version, of no key, stands before all others
}

const blockSize = 256

func NewIndex() *Index { return &Index{blocks: [][]Version{make([]Version, 1, blockSize)}} }

// above is where the first version stands that is above (key, at); there is always one before it, in the same block.
func (x *Index) above(key string, at store.Revision) (block, i int) {
	over := func(v *Version) bool {
		c := strings.Compare(v.Key, key)
		return c > 0 || c == 0 && v.Mod > at
	}
	block = sort.Search(len(x.blocks)-1, func(i int) bool { return over(&x.blocks[i+1][0]) })
	return block, sort.Search(len(x.blocks[block]), func(i int) bool { return over(&x.blocks[block][i]) })
}

// Add takes a version; it is cheapest if it is the newest of its key.
func (x *Index) Add(v Version) {
	b, i := x.above(v.Key, v.Mod)
	if before := x.blocks[b][i-1].Key; before == v.Key {
		v.Key = before
	}
	block := slices.Insert(x.blocks[b], i, v)
	cut := len(block)
	if cut == blockSize {
		if cut = blockSize / 2; i == blockSize-1 { // what grows only at its end leaves full blocks behind
			cut = i
		}
		x.blocks = slices.Insert(x.blocks, b+1, append(make([]Version, 0, blockSize), block[cut:]...))
		clear(block[cut:])
	}
	x.blocks[b] = block[:cut]
}

// At is the version of a key that a revision sees; zero if the key does not exist then.
func (x *Index) At(key string, at store.Revision) Version {
	b, i := x.above(key, at)
	if v := x.blocks[b][i-1]; v.Key == key && !v.Gone {
		return v
	}
	return Version{}
}

// next is the version at a place or, behind the end of a block, the first of the next block; zero behind the last.
func (x *Index) next(b, i int) Version {
	switch {
	case i < len(x.blocks[b]):
		return x.blocks[b][i]
	case b+1 < len(x.blocks):
		return x.blocks[b+1][0]
	}
	return Version{}
}

// List is the versions of a range that a revision sees.
func (x *Index) List(r store.Range, at store.Revision) (found []Version) {
	b, i := x.above(max(r.Prefix, r.From), 0)
	for ; b < len(x.blocks); b, i = b+1, 0 {
		for ; i < len(x.blocks[b]); i++ {
			v, next := x.blocks[b][i], x.next(b, i+1)
			if !strings.HasPrefix(v.Key, r.Prefix) || r.Limit > 0 && len(found) == r.Limit {
				return found
			}
			if v.Mod <= at && !v.Gone && (next.Key != v.Key || next.Mod > at) {
				found = append(found, v)
			}
		}
	}
	return found
}

// compact drops, and returns, what no revision from floor on sees.
func (x *Index) compact(floor store.Revision) (dropped []Version) {
	kept := x.blocks[:0]
	for b, block := range x.blocks {
		keep := block[:0]
		for i, v := range block {
			if next := x.next(b, i+1); v.Key != "" && v.Mod <= floor && (v.Gone || next.Key == v.Key && next.Mod <= floor) {
				dropped = append(dropped, v)
			} else {
				keep = append(keep, v)
			}
		}
		clear(block[len(keep):])
		if n := len(kept) - 1; n >= 0 && len(kept[n])+len(keep) < blockSize {
			kept[n] = append(kept[n], keep...)
		} else {
			kept = append(kept, keep)
		}
	}
	clear(x.blocks[len(kept):])
	x.blocks = kept
	return dropped
}
