package journal

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"optimist/apiserver/registry"
	"optimist/apiserver/store"
	"optimist/internal/api"
	wire "optimist/proto"
)

// Journal reads the log of a store that a registry writes.
type Journal struct {
	store store.Store
	keep  Keep
	log   *slog.Logger
	kinds map[string]*api.Kind // by the prefix of their keys
	meter meter
}

// New returns the journal of a store.
func New(s store.Store, c *api.Catalogue, k Keep, log *slog.Logger) *Journal {
	j := &Journal{store: s, keep: k.orDefault(), log: log, kinds: map[string]*api.Kind{}}
	j.meter.step = max(j.keep.Size/64, 1)
	for _, kind := range c.Kept() {
		j.kinds[registry.StoreKey(kind, api.Key{})] = kind
	}
	return j
}

// after yields the writes above a revision up to another, oldest first; with until = 0 it goes on with what is written from now on.
func (j *Journal) after(ctx context.Context, after, until store.Revision) iter.Seq2[api.Entry, error] {
	return func(yield func(api.Entry, error) bool) {
		batches, err := j.store.Watch(ctx, "", after)
		if err == nil {
			err = j.store.Progress(ctx) // so that the watch ends even if the last revision changed nothing
		}
		if err != nil {
			yield(api.Entry{}, err)
			return
		}
		for b, err := range batches {
			if err != nil {
				yield(api.Entry{}, err)
				return
			}
			past := until > 0 && b.Revision >= until
			if len(b.Changes) > 0 && (until == 0 || b.Revision <= until) && !yield(j.entry(b)) || past {
				return
			}
		}
	}
}

// next is the first write above a revision; false if there is none.
func (j *Journal) next(ctx context.Context, after, now store.Revision) (api.Entry, bool, error) {
	if after >= now {
		return api.Entry{}, false, nil
	}
	for e, err := range j.after(ctx, after, now) {
		return e, err == nil, err
	}
	return api.Entry{}, false, nil
}

// entry reads the note of a batch.
func (j *Journal) entry(b store.Batch) (api.Entry, error) {
	var n wire.Note
	if err := proto.Unmarshal(b.Note, &n); err != nil {
		return api.Entry{}, fmt.Errorf("the note of revision %d is damaged: %w", b.Revision, err)
	}
	t := n.GetTarget()
	e := api.Entry{Revision: api.Revision(b.Revision), User: n.GetUser(), Manager: n.GetManager(), Verb: api.Verb(n.GetVerb()), Sub: t.GetSub(),
		Object: api.Ref{Group: t.GetGroup(), Kind: t.GetKind(), Namespace: t.GetNamespace(), Name: t.GetName()},
		Time:   timeOf(&n), Causes: api.Causes{More: int(n.GetCauses().GetMore())}}
	for _, c := range n.GetCauses().GetEdges() {
		e.Causes.Edges = append(e.Causes.Edges, api.Cause{Type: api.CauseType(c.GetType()), Revision: api.Revision(c.GetRevision())})
	}
	for _, c := range b.Changes {
		e.Changed = append(e.Changed, api.Changed{Key: c.Key, Object: j.ref(c.Key), Was: api.Revision(c.PrevMod), Gone: c.Value == nil})
	}
	return e, nil
}

func timeOf(n *wire.Note) time.Time { return time.Unix(0, n.GetTimeNs()) }

// ref finds out which object a key of the store is about.
func (j *Journal) ref(key string) api.Ref {
	parts := strings.SplitAfterN(key, "/", 4) // "/", "apps/", "deployments/", "default/web"
	if len(parts) < 4 {
		return api.Ref{}
	}
	k := j.kinds[parts[0]+parts[1]+parts[2]]
	if k == nil {
		return api.Ref{}
	}
	ref := api.Ref{Group: k.Group, Kind: k.Name, Name: parts[3]}
	if k.Namespaced {
		ref.Namespace, ref.Name, _ = strings.Cut(parts[3], "/")
	}
	return ref
}
