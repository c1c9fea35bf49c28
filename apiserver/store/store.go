package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// Revision orders all transactions of a store: the first is 1. 0 stands for "none" or, in reads, for "now".
type Revision int64

// Entry is one key with its value as of some revision.
type Entry struct {
	Key    string
	Value  []byte   // read-only: implementations may share it
	Create Revision // the revision that created the key (since it last did not exist)
	Mod    Revision // the revision that wrote this value
}

// Range selects the keys that begin with Prefix and are not below From, in byte order.
type Range struct {
	Prefix string
	From   string // "" = from the first
	Limit  int    // 0 = all
}

// Guard is a condition on a key: its Mod revision must be this one; 0 demands that the key does not exist.
type Guard struct {
	Key string
	Mod Revision
}

// Op writes Value under Key, or deletes Key when Value is nil. Deleting what does not exist is not an error.
type Op struct {
	Key   string
	Value []byte
}

// Txn is applied when every guard holds, and takes one revision even if it changes nothing. Each key is written at most once.
// Note is kept beside it in the log (the journal entry: who wrote, and why). The store owns the slices from Commit on.
type Txn struct {
	If   []Guard
	Do   []Op
	Note []byte
}

// Change is what a transaction did to one key. Value is nil for a deletion, Prev is nil for a creation.
type Change struct {
	Key         string
	Value, Prev []byte
	Create      Revision // of the value written, or of the value deleted
	PrevMod     Revision // the revision that wrote Prev; 0 for a creation
}

// Batch is one whole revision, narrowed to the changes under the watched prefix. A batch without changes tells only that
// the watch has seen everything up to Revision.
type Batch struct {
	Revision Revision
	Changes  []Change
	Note     []byte
}

// Store is what package registry needs of a database. Implementations are safe for concurrent use.
type Store interface {
	// Get returns the entry as of a revision (0 = now, linearizable). A key that does not exist gives a zero Entry (Mod == 0) and no error.
	Get(ctx context.Context, key string, at Revision) (Entry, error)
	// List returns the entries of a range as of a revision (0 = now) and the revision that the answer is true for.
	List(ctx context.Context, r Range, at Revision) ([]Entry, Revision, error)
	// Commit applies a transaction, all or nothing, at one new revision; once it returns nil the write survives a power loss.
	// A guard that does not hold gives a *Conflict. After any other error the transaction may or may not have been applied
	// only if the error is ErrUnknown; otherwise it was not.
	Commit(ctx context.Context, txn Txn) (Revision, error)
	// Watch yields every revision above `after` that touches the prefix. It blocks for what has not happened yet and ends with an error:
	// ctx's, ErrCompacted (also at once, as the second result, like ErrFuture), ErrClosed, or ErrSlow when the reader falls too far behind.
	// `after` is the revision of a List; below the compacted one is too old, for then Prev is no longer known.
	Watch(ctx context.Context, prefix string, after Revision) (iter.Seq2[Batch, error], error)
	// Now returns the newest committed revision.
	Now(ctx context.Context) (Revision, error)
	// Progress makes every open watch soon yield an empty Batch at or after the current revision.
	Progress(ctx context.Context) error
	// Compact forgets what only revisions below `before` need: superseded values, deletions, the log. The newest values stay.
	// Reads and watches from `before` on work as ever. Compacting less than before is no error; compacting the future is ErrFuture.
	Compact(ctx context.Context, before Revision) error
	Close() error
}

var (
	ErrCompacted = errors.New("the requested revision has been compacted away")
	ErrFuture    = errors.New("the requested revision has not happened yet")
	ErrSlow      = errors.New("the watcher fell too far behind; list again")
	ErrClosed    = errors.New("the store is closed")
	ErrUnknown   = errors.New("the transaction may or may not have been applied")
	// ErrUnwritable: a full or read-only disk. Nothing was applied, reads go on, and writes succeed again once the disk takes them.
	ErrUnwritable = errors.New("the disk refused the write")
)

// Conflict says which guard did not hold.
type Conflict struct {
	Key  string
	Have Revision // the key's Mod revision; 0 when it does not exist
	Want Revision
}

func (c *Conflict) Error() string {
	return fmt.Sprintf("%s is at revision %d, not %d", c.Key, c.Have, c.Want)
}

// MaxKey is the length of the longest key, in bytes.
const MaxKey = 16 << 10

// Check refuses what no store can apply: empty, over-long or repeated keys, and keys with a zero byte (one ends the key where a list goes on).
func (t Txn) Check() error {
	seen := make(map[string]bool, len(t.Do))
	for _, op := range t.Do {
		if err := checkKey(op.Key); err != nil {
			return err
		}
		if seen[op.Key] {
			return fmt.Errorf("key %q is written twice in one transaction", op.Key)
		}
		seen[op.Key] = true
	}
	return nil
}

func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("a key must not be empty")
	case len(key) > MaxKey:
		return fmt.Errorf("key %.40q… is %d bytes long; at most %d are allowed", key, len(key), MaxKey)
	case strings.IndexByte(key, 0) >= 0:
		return fmt.Errorf("key %q contains a zero byte", key)
	}
	return nil
}

// Over says what the operation changes when it is applied over an entry (zero if the key does not exist) at a revision;
// false when that is nothing.
func (o Op) Over(old Entry, at Revision) (Change, bool) {
	c := Change{Key: o.Key, Value: o.Value, Prev: old.Value, Create: old.Create, PrevMod: old.Mod}
	if old.Mod == 0 {
		c.Create = at
	}
	return c, o.Value != nil || old.Mod != 0
}

// Entry is the key after the change at a revision; zero after a deletion.
func (c Change) Entry(at Revision) Entry {
	if c.Value == nil {
		return Entry{}
	}
	return Entry{Key: c.Key, Value: c.Value, Create: c.Create, Mod: at}
}

// Under narrows a batch to the changes whose keys begin with a prefix.
func (b Batch) Under(prefix string) Batch {
	whole := b.Changes
	b.Changes = nil
	for i, c := range whole {
		if strings.HasPrefix(c.Key, prefix) {
			b.Changes = append(b.Changes, whole[i])
		}
	}
	return b
}
