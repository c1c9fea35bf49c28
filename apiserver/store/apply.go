package store

import (
	"errors"
	"fmt"
	"strings"
)

// MaxKey is the length of the longest key, in bytes.
const MaxKey = 16 << 10

// Check refuses what no store can apply: empty, over-long or repeated keys, and keys with a zero byte (it ends keys on disk).
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
