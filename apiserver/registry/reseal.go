package registry

import (
	"context"
	"errors"
	"fmt"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

// Cipher keeps values of some kinds unreadable in the store. place is the key under which a value is stored.
type Cipher interface {
	Encrypts(k *api.Kind) bool
	Active() string // names the key that Seal uses
	Seal(place string, plain []byte) (keyID string, sealed []byte)
	Open(keyID, place string, sealed []byte) (plain []byte, err error)
}

// Reseal writes every value that is not sealed with the active key as it is to be, and returns how many there were: after a rotation, or when
// encryption is new. Each is an ordinary write, which watches see.
func (r *Registry) Reseal(ctx context.Context) (n int, err error) {
	ctx = api.WithUser(ctx, api.User{Name: api.UserAPIServer})
	for _, k := range r.resources {
		if !k.sealed {
			continue
		}
		rng := store.Range{Prefix: k.prefix, Limit: page}
		for {
			entries, _, err := r.store.List(ctx, rng, 0)
			if err != nil {
				return n, storeError(err)
			}
			for _, e := range entries {
				did, err := r.resealOne(ctx, k, e)
				if err != nil {
					return n, storeError(err)
				}
				n += did
			}
			if len(entries) < rng.Limit {
				break
			}
			rng.From = entries[len(entries)-1].Key + "\x00"
		}
	}
	return n, nil
}

// resealOne leaves a value alone that somebody writes meanwhile: that seals it, too.
func (r *Registry) resealOne(ctx context.Context, k *resource, e store.Entry) (int, error) {
	sealed, err := openEnvelope(e.Value)
	if err != nil || sealed.keyID == k.cipher.Active() {
		return 0, err
	}
	plain, err := k.unseal(e.Key, e.Value)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", e.Key, err)
	}
	request := api.Request{Target: api.Target{Kind: k.Kind, Key: k.keyOf(e.Key)}, Verb: api.VerbUpdate, Options: api.Options{Manager: "encryption"}}
	_, err = r.store.Commit(ctx, store.Txn{If: []store.Guard{{Key: e.Key, Mod: e.Mod}},
		Do: []store.Op{{Key: e.Key, Value: k.seal(e.Key, plain.payload)}}, Note: note(ctx, request, request.Key.Name)})
	if _, meanwhile := errors.AsType[*store.Conflict](err); meanwhile {
		return 0, nil
	}
	return 1, err
}
