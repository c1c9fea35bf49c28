package kinds

import (
	"context"
	"hash/fnv"
	"maps"
	"slices"

	"optimist/apiserver/store"
)

// ledger collects the claims of one object: keys below /claims/ whose value names the holder. What it held before and no longer wants is
// released; what it wants and did not hold joins the transaction with a guard that nobody else has it. Two writers that choose the same
// key therefore conflict; the loser runs again and sees that it is taken.
type ledger struct {
	store  store.Store
	holder string          // "default/web"
	held   map[string]bool // before this write
	wanted map[string]bool // after it
}

func newLedger(s store.Store, holder string, held []string) *ledger {
	l := &ledger{store: s, holder: holder, held: map[string]bool{}, wanted: map[string]bool{}}
	for _, key := range held {
		l.held[key] = true
	}
	return l
}

// take claims a key; false means that somebody else has it.
func (l *ledger) take(ctx context.Context, key string) (bool, error) {
	if !l.held[key] && !l.wanted[key] {
		e, err := l.store.Get(ctx, key, 0)
		if err != nil || e.Mod != 0 {
			return false, err
		}
	}
	l.wanted[key] = true
	return true, nil
}

// pool is a row of keys of which an object may take any.
type pool struct {
	prefix string // of all its keys
	size   int
	key    func(i int) string
}

const guesses = 16

// takeAny claims one key of a pool and returns its place there; -1 if all are taken. It first guesses, starting at a place that follows from
// the holder's name, which succeeds at once while the pool is not nearly full; only then does it read what is taken.
func (l *ledger) takeAny(ctx context.Context, p pool) (int, error) {
	if p.size <= 0 {
		return -1, nil
	}
	first, step := spread(l.holder, p.size)
	for i := range min(guesses, p.size) {
		at := (first + i*step) % p.size
		if l.wanted[p.key(at)] { // by this very object, for another purpose
			continue
		}
		if ok, err := l.take(ctx, p.key(at)); ok || err != nil {
			return at, err
		}
	}
	return l.scan(ctx, p, first)
}

func (l *ledger) scan(ctx context.Context, p pool, first int) (int, error) {
	entries, _, err := l.store.List(ctx, store.Range{Prefix: p.prefix}, 0)
	if err != nil {
		return -1, err
	}
	taken := make(map[string]bool, len(entries))
	for _, e := range entries {
		taken[e.Key] = true
	}
	for i := range p.size {
		at := (first + i) % p.size
		if key := p.key(at); !taken[key] && !l.wanted[key] {
			l.wanted[key] = true
			return at, nil
		}
	}
	return -1, nil
}

// spread makes a first place and an odd step of a name.
func spread(name string, size int) (first, step int) {
	h := fnv.New64a()
	h.Write([]byte(name))
	sum := h.Sum64()
	return int(sum % uint64(size)), int(sum>>32%1021) | 1
}

// txn is what must join the object's transaction. It is in order, so that the same write is always the same transaction.
func (l *ledger) txn() (t store.Txn) {
	for _, key := range slices.Sorted(maps.Keys(l.wanted)) {
		if !l.held[key] {
			t.If = append(t.If, store.Guard{Key: key})
			t.Do = append(t.Do, store.Op{Key: key, Value: []byte(l.holder)})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l.held)) {
		if !l.wanted[key] {
			t.Do = append(t.Do, store.Op{Key: key})
		}
	}
	return t
}
