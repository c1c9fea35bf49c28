package bolt

import (
	"errors"

	"go.etcd.io/bbolt"

	"optimist/apiserver/store"
	"optimist/apiserver/store/timeline"
)

var errNothing = errors.New("the group changes nothing")

// group is what one bbolt transaction will hold: the outcome of several transactions, each at a revision of its own.
type group struct {
	db        *DB
	log       *bbolt.Cursor
	seen      map[string]store.Entry // the newest state of each key that was looked at, the group's own writes included; zero if there is none
	now       store.Revision         // the newest revision, with the group's
	batches   []store.Batch
	err       error // what went wrong with looking
	published bool
}

// plan decides every transaction in order, each as if those before it had happened.
func (g *group) plan(waiting []*pending) error {
	for _, p := range waiting {
		if p.err = g.refuse(p); p.err == nil {
			g.apply(p.txn)
			p.rev = g.now
		}
	}
	if g.err == nil && len(g.batches) == 0 {
		return errNothing
	}
	return g.err
}

func (g *group) get(key string) store.Entry {
	e, ok := g.seen[key]
	if !ok && g.err == nil {
		var v timeline.Version
		if _, g.err = g.db.timeline.Look(0, func(x *timeline.Index, now store.Revision) { v = x.At(key, now) }); g.err == nil {
			e, g.err = g.db.entry(g.log, v)
		}
		g.seen[key] = e
	}
	return e
}

func (g *group) refuse(p *pending) error {
	for _, guard := range p.txn.If {
		if have := g.get(guard.Key).Mod; have != guard.Mod {
			return &store.Conflict{Key: guard.Key, Have: have, Want: guard.Mod}
		}
	}
	return p.ctx.Err()
}

func (g *group) apply(txn store.Txn) {
	g.now++
	b := store.Batch{Revision: g.now, Note: txn.Note}
	for _, op := range txn.Do {
		if c, ok := op.Over(g.get(op.Key), g.now); ok {
			b.Changes = append(b.Changes, c)
			g.seen[op.Key] = c.Entry(g.now)
		}
	}
	g.batches = append(g.batches, b)
}

// put appends to the log.
func (g *group) put(log *bbolt.Bucket) error {
	log.FillPercent = 1 // it only grows at its end
	for _, b := range g.batches {
		if err := log.Put(revisionBytes(b.Revision), b.Note); err != nil {
			return err
		}
		for i, c := range b.Changes {
			if err := log.Put(changeKey(b.Revision, uint32(i)), changeValue(c)); err != nil {
				return err
			}
		}
	}
	return nil
}
