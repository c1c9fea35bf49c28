package durability

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
)

// writer changes some ConfigMaps of its own, one after the other, until the server is gone.
type writer struct {
	label   string
	logbook *logbook
	random  *rand.Rand
	count   int
}

const (
	namespace   = "default"
	published   = "kube-root-ca.crt" // by the API server itself
	labelWriter = "writer"
	dataText    = "text"
	perWriter   = 6
)

// run returns nil when the server is gone, and an error for what should not be.
func (w *writer) run(ctx context.Context, s api.Service) error {
	for ctx.Err() == nil {
		up, err := w.one(ctx, s)
		if err != nil || !up {
			return err
		}
		if w.count%20 == 0 { // bookmarks, so that quiet watchers keep up with compaction
			if _, err := s.Now(ctx); err != nil && !apierrors.IsServiceUnavailable(err) {
				return err
			}
		}
	}
	return nil
}

// one makes a write that must succeed, or, now and then, one that must be refused.
func (w *writer) one(ctx context.Context, s api.Service) (up bool, err error) {
	w.count++
	name := fmt.Sprintf("%s-%d", w.label, w.random.IntN(perWriter))
	old := w.logbook.latestOf(name)
	a := attempt{name: name, text: fmt.Sprintf("%s-%d", w.label, w.count)}
	r, why := w.request(&a, old)
	res, err := s.Write(ctx, r)
	switch {
	case err == nil:
		a.verdict, a.revision = done, res.Revision
	case api.Ambiguous(err):
		a.verdict = unsure
	default:
		a.verdict = refused
	}
	up = err == nil || !apierrors.IsServiceUnavailable(err) && a.verdict != unsure
	if up && string(apierrors.ReasonForError(err)) != why {
		return up, fmt.Errorf("%s %s: got %v, want %q", r.Verb, name, err, why)
	}
	return up, w.logbook.enter(a)
}

// request chooses what to do with an object, and says how it must be refused ("" = not).
func (w *writer) request(a *attempt, old state) (r api.Request, reason string) {
	body := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: a.name, Labels: map[string]string{labelWriter: w.label}},
		Data: map[string]string{dataText: a.text, "ballast": ballast[:w.random.IntN(len(ballast))]}}
	exists := old.text != ""
	request := func(v api.Verb, key api.Key, body api.Object) api.Request {
		return api.ConfigMaps.Request(v, key, "", body)
	}
	key := api.KeyOf(body)
	switch n := w.random.IntN(20); {
	case n == 0: // a second one of the same name
		if exists {
			return request(api.VerbCreate, key, body), string(metav1.StatusReasonAlreadyExists)
		}
	case n == 1: // no valid name
		key.Name, body.Name = "No Name", "No Name"
		return request(api.VerbCreate, key, body), string(metav1.StatusReasonInvalid)
	case n == 2 && exists: // an update of something old
		body.ResourceVersion = "1"
		return request(api.VerbUpdate, key, body), string(metav1.StatusReasonConflict)
	case n < 6 && exists:
		a.text = ""
		return request(api.VerbDelete, key, nil), ""
	case n < 13 && exists:
		body.ResourceVersion = old.revision.String()
		return request(api.VerbUpdate, key, body), ""
	case exists:
		r := request(api.VerbPatch, key, nil)
		r.Patch = &api.Patch{Type: types.MergePatchType, Data: fmt.Appendf(nil, `{"data":{%q:%q}}`, dataText, a.text)}
		return r, ""
	}
	return request(api.VerbCreate, key, body), ""
}

// ballast makes objects up to two pages long.
var ballast = strings.Repeat("ballast ", 1000)
