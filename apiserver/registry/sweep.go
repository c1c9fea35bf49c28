package registry

import (
	"context"
	"errors"
	"time"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

const (
	sweepInterval = time.Minute
	sweepBatch    = 500 // removals in one transaction
)

// sweep removes what has outlived the TTL of its kind, which counts from the last write.
func (r *Registry) sweep(ctx context.Context) error {
	for _, k := range r.resources {
		if k.rules.TTL != nil {
			if err := r.sweepKind(ctx, k, time.Now()); err != nil {
				return storeError(err)
			}
		}
	}
	return nil
}

func (r *Registry) sweepKind(ctx context.Context, k *resource, now time.Time) error {
	rng := store.Range{Prefix: k.prefix, Limit: sweepBatch}
	for {
		entries, _, err := r.store.List(ctx, rng, 0)
		if err != nil {
			return err
		}
		var txn store.Txn
		for _, e := range entries {
			if k.expired(e, now) {
				txn.If = append(txn.If, store.Guard{Key: e.Key, Mod: e.Mod})
				txn.Do = append(txn.Do, store.Op{Key: e.Key})
			}
		}
		if err := r.commitSweep(ctx, k, txn); err != nil {
			return err
		}
		if len(entries) < sweepBatch {
			return nil
		}
		rng.From = entries[len(entries)-1].Key + "\x00"
	}
}

// commitSweep leaves a batch of which something was written meanwhile for the next time.
func (r *Registry) commitSweep(ctx context.Context, k *resource, txn store.Txn) error {
	if len(txn.Do) == 0 {
		return nil
	}
	ctx = api.WithUser(ctx, api.User{Name: api.UserAPIServer})
	txn.Note = note(ctx, api.Request{Target: api.Target{Kind: k.Kind}, Verb: api.VerbDeleteCollection}, "")
	_, err := r.store.Commit(ctx, txn)
	var conflict *store.Conflict
	if errors.As(err, &conflict) {
		return nil
	}
	return err
}

func (k *resource) expired(e store.Entry, now time.Time) bool {
	envelope, err := openEnvelope(e.Value)
	if err != nil {
		return false
	}
	o, err := k.open(e)
	if err != nil {
		return false
	}
	ttl := k.rules.TTL(o)
	return ttl > 0 && now.Sub(envelope.written) > ttl
}

// compact lets the store forget what is older than Options.History. It notes the revision ten times in that span; where a restart has lost
// the notes, history is kept for longer.
func (r *Registry) compact(ctx context.Context) error {
	type mark struct {
		at       time.Time
		revision store.Revision
	}
	var marks []mark
	return every(ctx, r.options.Log, max(r.options.History/10, time.Second), func(ctx context.Context) error {
		now, err := r.store.Now(ctx)
		if err != nil {
			return err
		}
		marks = append(marks, mark{time.Now(), now})
		var old store.Revision
		for len(marks) > 0 && time.Since(marks[0].at) >= r.options.History {
			old, marks = marks[0].revision, marks[1:]
		}
		if old == 0 {
			return nil
		}
		return r.store.Compact(ctx, old)
	})
}
