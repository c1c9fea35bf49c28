package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

// Get implements api.Service. It is linearizable: it asks the store, not the cache.
func (r *Registry) Get(ctx context.Context, t api.Target, o api.GetOptions) (api.Result, error) {
	k, err := r.stored(t, api.VerbGet)
	if err != nil {
		return api.Result{}, err
	}
	if err := k.checkKey(t.Key, false); err != nil {
		return api.Result{}, err
	}
	p, err := k.part(t, api.VerbUpdate)
	if err != nil || p.Get == nil {
		return api.Result{}, apierrors.NewMethodNotSupported(k.Resource(), "get of "+t.Sub)
	}
	if err := r.happened(ctx, o.NotOlderThan); err != nil {
		return api.Result{}, err
	}
	e, err := r.store.Get(ctx, StoreKey(k.Kind, t.Key), store.Revision(o.At))
	if err != nil {
		return api.Result{}, storeError(err)
	}
	if e.Mod == 0 {
		return api.Result{}, k.NotFound(t.Key.Name)
	}
	object, err := k.open(e)
	if err != nil {
		return api.Result{}, err
	}
	object, err = p.Get(object)
	return api.Result{Object: object, Revision: api.Revision(e.Mod)}, err
}

// page is how many entries are read at once when a limited list has to look for what it selects.
const page = 500

// List implements api.Service. All pages of a list tell of the same revision.
func (r *Registry) List(ctx context.Context, t api.Target, o api.ListOptions) (api.List, error) {
	k, err := r.stored(t, api.VerbList)
	if err != nil {
		return api.List{}, err
	}
	pick, err := k.selection(t.Key.Namespace, o.Selector, o.Fields)
	if err != nil {
		return api.List{}, err
	}
	from, err := k.start(pick, o)
	if err != nil {
		return api.List{}, err
	}
	if err := r.happened(ctx, o.NotOlderThan); err != nil {
		return api.List{}, err
	}
	var l api.List
	if pick.index.on && o.Limit == 0 && o.At == 0 && from.Key == "" {
		l, err = r.listIndexed(ctx, k, pick)
	} else {
		plain := o.View == api.Stored && pick.labels == nil && pick.fields == nil && k.form(t.Version).FromStored == nil
		l, err = r.listStored(ctx, k, pick, o.Limit, from, plain)
	}
	if err != nil {
		return api.List{}, err
	}
	if o.View == api.Table {
		l.Columns, l.Rows = k.tabulate(l.Items)
	}
	for i, o := range l.Items {
		if l.Items[i], err = k.show(t.Version, o); err != nil {
			return api.List{}, err
		}
	}
	return l, nil
}

// listStored reads the store, page by page if only some are wanted. What is listed plain is not even decoded.
func (r *Registry) listStored(ctx context.Context, k *resource, pick picked, limit int64, from position, plain bool) (api.List, error) {
	rng := store.Range{Prefix: k.listPrefix(pick.namespace), From: from.Key}
	if limit > 0 {
		rng.Limit = int(limit) + 1
		if pick.labels != nil || pick.fields != nil {
			rng.Limit = max(rng.Limit, page)
		}
	}
	l, left := api.List{}, from.Left
	if from.Key == "" {
		left = k.cache.size(pick.namespace)
	}
	for {
		entries, at, err := r.store.List(ctx, rng, store.Revision(from.Revision))
		if err != nil {
			return l, listError(err, from)
		}
		from.Revision, l.Revision = api.Revision(at), api.Revision(at)
		for _, e := range entries {
			var o api.Object
			var raw []byte
			if plain {
				raw, err = k.raw(e)
			} else {
				o, err = k.open(e)
			}
			if err != nil {
				return l, err
			}
			if !plain && !pick.matches(k.stateOf(e, o)) {
				continue
			}
			if limit > 0 && int64(len(l.Items)+len(l.Raw)) == limit {
				if pick.labels == nil && pick.fields == nil {
					l.Remaining = max(0, left-limit)
				}
				l.Continue = position{Revision: l.Revision, Key: e.Key, Left: l.Remaining}.token()
				return l, nil
			}
			if plain {
				l.Raw = append(l.Raw, raw)
			} else {
				l.Items = append(l.Items, o)
			}
		}
		if rng.Limit == 0 || len(entries) < rng.Limit {
			return l, nil
		}
		rng.From = entries[len(entries)-1].Key + "\x00"
	}
}

func (k *resource) listPrefix(namespace string) string {
	if namespace == "" {
		return k.prefix
	}
	return StoreKey(k.Kind, api.Key{Namespace: namespace})
}

// listIndexed answers an equality on an indexed field from the cache, once that has seen all that the store has now.
func (r *Registry) listIndexed(ctx context.Context, k *resource, pick picked) (api.List, error) {
	now, err := r.catchUp(ctx, k, 0)
	if err != nil {
		return api.List{}, err
	}
	if now == 0 { // nobody runs the cache
		return r.listStored(ctx, k, pick, 0, position{}, false)
	}
	states, revision := k.cache.find(pick)
	l := api.List{Revision: api.Revision(revision)}
	for _, s := range states {
		o, err := s.read()
		if err != nil {
			return api.List{}, err
		}
		l.Items = append(l.Items, o)
	}
	return l, nil
}

// happened refuses a revision of the future. What is read afterwards is not older.
func (r *Registry) happened(ctx context.Context, revision api.Revision) error {
	if revision == 0 {
		return nil
	}
	now, err := r.store.Now(ctx)
	if err == nil && store.Revision(revision) > now {
		return inFuture(store.Revision(revision), now)
	}
	return storeError(err)
}

func inFuture(r, now store.Revision) error {
	return tooLarge(fmt.Sprintf("Too large resource version: %d, current: %d", r, now))
}

// catchUp waits until the cache of a kind has seen everything up to a revision (0 = now), and returns that; 0 if no cache is being filled.
func (r *Registry) catchUp(ctx context.Context, k *resource, to store.Revision) (store.Revision, error) {
	now, err := r.store.Now(ctx)
	if err != nil {
		return 0, storeError(err)
	}
	if to > now {
		return 0, inFuture(to, now)
	}
	if to == 0 {
		to = now
	}
	switch seen, running := k.cache.has(to); {
	case seen:
		return to, nil
	case !running:
		return 0, nil
	}
	if err := r.store.Progress(ctx); err != nil {
		return 0, storeError(err)
	}
	return to, k.cache.await(ctx, to)
}

// position is where the next page of a list begins, and the revision that all its pages tell of.
type position struct {
	Revision api.Revision `json:"rv"` // 0: whatever is newest by then
	Key      string       `json:"k"`
	Left     int64        `json:"n,omitempty"` // how many objects there are from here on, as far as is known
}

// token is the position as the opaque text that clients send back.
func (p position) token() string {
	b, _ := json.Marshal(p) // a number and a string can always be marshalled
	return base64.RawURLEncoding.EncodeToString(b)
}

func (k *resource) start(pick picked, o api.ListOptions) (position, error) {
	if o.Limit < 0 {
		return position{}, apierrors.NewBadRequest("limit must not be negative")
	}
	if o.Continue == "" {
		return position{Revision: o.At}, nil
	}
	var t position
	b, err := base64.RawURLEncoding.DecodeString(o.Continue)
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	if err != nil || t.Revision < 0 || !strings.HasPrefix(t.Key, k.listPrefix(pick.namespace)) {
		return position{}, apierrors.NewBadRequest("continue key is not valid: it must be what the list before has returned, for the same kind and namespace")
	}
	if o.At != 0 && o.At != t.Revision {
		return position{}, apierrors.NewBadRequest("specifying resource version is not allowed when using continue")
	}
	return t, nil
}

// listError words a store's error. Who has paged too slowly gets a token with which the list goes on at the newest revision, if it can
// live with that.
func listError(err error, from position) error {
	if from.Key == "" || !errors.Is(err, store.ErrCompacted) {
		return storeError(err)
	}
	expired := apierrors.NewResourceExpired("The provided continue parameter is too old to display a consistent list result. You can start a new list without " +
		"the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token " +
		"results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.")
	expired.ErrStatus.ListMeta.Continue = position{Key: from.Key}.token()
	return expired
}

// NameColumn and AgeColumn are those of every kind, and all that a kind has without columns of its own.
var (
	NameColumn = Column{Name: "Name", Type: "string", Description: "Name is unique among the objects of the kind in a namespace.",
		Cell: func(o api.Object, _ time.Time) any { return o.GetName() }}
	AgeColumn = Column{Name: "Age", Type: "string", Description: "Time since the object was created.",
		Cell: func(o api.Object, now time.Time) any { return Since(o.GetCreationTimestamp().Time, now) }}
)

// Since is a point in time as a person reads it: 5s, 3m20s, 4d.
func Since(t, now time.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(t))
}

func (k *resource) tabulate(objects []api.Object) (columns []metav1.TableColumnDefinition, rows [][]any) {
	for _, c := range k.rules.Columns {
		columns = append(columns, c.Definition())
	}
	now := time.Now()
	for _, o := range objects {
		rows = append(rows, k.cells(o, now))
	}
	return columns, rows
}

// Table prints objects of a kind, in any form: the columns, and each object's cells. What a subresource shows instead (a Scale) has a name and an age.
func (r *Registry) Table(k *api.Kind, objects []api.Object) (columns []metav1.TableColumnDefinition, rows [][]any) {
	res := r.resources[k.GroupKind()]
	stored := make([]api.Object, len(objects))
	for n, o := range objects {
		var err error
		if stored[n], err = res.keep(gvk(o).Version, o); err != nil || reflect.TypeOf(stored[n]) != reflect.TypeOf(res.kept.Versions[0].New()) {
			plain := &resource{rules: Rules{Columns: []Column{NameColumn, AgeColumn}}}
			return plain.tabulate(objects)
		}
	}
	return res.tabulate(stored)
}

func (k *resource) cells(o api.Object, now time.Time) []any {
	cells := make([]any, len(k.rules.Columns))
	for n, c := range k.rules.Columns {
		cells[n] = c.Cell(o, now)
	}
	return cells
}
