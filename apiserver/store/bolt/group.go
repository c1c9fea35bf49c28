package bolt

import (
	"bytes"
	"errors"
	"slices"

	"go.etcd.io/bbolt"

	"optimist/apiserver/store"
)

var errNothing = errors.New("the group changes nothing")

// group is what one bbolt transaction will hold: the outcome of several transactions, each at a revision of its own.
type group struct {
	index     map[string]store.Entry // what is on disk
	over      map[string]store.Entry // what the group has written over it; zero for deletions
	now       store.Revision         // the newest revision, with the group's
	batches   []store.Batch
	published bool
}

// plan decides every transaction in order, each as if those before it had happened.
func (g *group) plan(waiting []*pending, data *bbolt.Cursor) error {
	for _, p := range waiting {
		if p.err = g.refuse(p); p.err != nil {
			continue
		}
		if err := g.apply(p.txn, data); err != nil {
			return err
		}
		p.rev = g.now
	}
	if len(g.batches) == 0 {
		return errNothing
	}
	return nil
}

func (g *group) get(key string) store.Entry {
	if e, ok := g.over[key]; ok {
		return e
	}
	return g.index[key]
}

func (g *group) refuse(p *pending) error {
	for _, guard := range p.txn.If {
		if have := g.get(guard.Key).Mod; have != guard.Mod {
			return &store.Conflict{Key: guard.Key, Have: have, Want: guard.Mod}
		}
	}
	return p.ctx.Err()
}

func (g *group) apply(txn store.Txn, data *bbolt.Cursor) (err error) {
	g.now++
	b := store.Batch{Revision: g.now, Note: noteOf(txn.Note)}
	for _, op := range txn.Do {
		old := g.get(op.Key)
		if old.Mod != 0 && old.Value == nil { // not in memory
			if old, err = asOf(data, old.Key, old.Mod); err != nil {
				return err
			}
		}
		if c, ok := op.Over(old, g.now); ok {
			b.Changes = append(b.Changes, c)
			g.over[op.Key] = c.Entry(g.now)
		}
	}
	g.batches = append(g.batches, b)
	return nil
}

type record struct{ key, value []byte }

// put writes data in key order, so that neighbours meet in the same page, and the log at its end.
func (g *group) put(data, log *bbolt.Bucket) error {
	var records []record
	for _, b := range g.batches {
		for _, c := range b.Changes {
			records = append(records, record{dataKey(c.Key, b.Revision), dataValue(c)})
		}
	}
	slices.SortFunc(records, func(a, b record) int { return bytes.Compare(a.key, b.key) })
	for _, r := range records {
		if err := data.Put(r.key, r.value); err != nil {
			return err
		}
	}
	log.FillPercent = 1 // it only grows at its end
	for _, b := range g.batches {
		if err := log.Put(revisionBytes(b.Revision), logValue(b)); err != nil {
			return err
		}
	}
	return nil
}
