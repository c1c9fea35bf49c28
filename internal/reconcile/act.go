package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
	"optimist/internal/console"
)

// Action is one step of a plan: the request to make, and why.
type Action struct {
	api.Request
	Why   string
	Say   *Say
	Fresh bool // first make sure, on the server, that the object the plan is about still exists and is not being deleted
}

// Say is the Event that an action leaves behind.
type Say struct {
	Type, Reason, Message string     // Reason "" = nothing to say if it succeeds
	About                 api.Object // nil = the object that the plan is about
	Failed                string     // the Warning's reason if the action fails; "" = say nothing then
}

// Act takes the steps of a plan in order and stops at the first that fails. Each is kept as a decision; all that one reconcile did is one line
// in the log.
func Act(ctx context.Context, d Deps, about api.Object, plan []Action) error {
	causes := api.Causes{}.Add(api.Cause{Type: api.CauseOwner, Revision: api.RevisionOf(about)})
	line := lineOf(ctx)
	line.Object, line.Revision = describe(about), api.RevisionOf(about)
	for _, a := range plan {
		if a.Fresh {
			if err := fresh(ctx, d.Service, about); err != nil {
				return err
			}
		}
		actx := ctx
		if a.Verb == api.VerbCreate {
			actx = api.WithCauses(ctx, causes)
		}
		result, err := d.Service.Write(actx, a.Request)
		record(actx, d, about, a, result, err)
		if err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
		line.Did(a.sort(), a.String(), a.Why)
		line.Wrote = result.Revision
	}
	return nil
}

type lineKey struct{}

// lineOf is the line of the log that a Loop writes when the reconcile of this ctx is over. Nobody sees that of another ctx.
func lineOf(ctx context.Context) *console.Act {
	if line, ok := ctx.Value(lineKey{}).(*console.Act); ok {
		return line
	}
	return &console.Act{}
}

// sort is what steps have in common that can be told in one breath.
func (a Action) sort() string { return string(a.Verb) + " " + a.Kind.String() + "/" + a.Sub }

// String is the step in words: "create pods default/web-x1".
func (a Action) String() string {
	kind := a.Kind.String()
	if a.Sub != "" {
		kind += "/" + a.Sub
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", a.Verb, kind, a.Key))
}

func fresh(ctx context.Context, svc api.Service, about api.Object) error {
	k := kindOf(about)
	live, err := svc.Get(ctx, api.Target{Kind: k, Key: api.KeyOf(about)}, api.GetOptions{})
	if err != nil {
		return err
	}
	if live.Object.GetUID() != about.GetUID() || live.Object.GetDeletionTimestamp() != nil {
		return k.Conflict(about.GetName(), errors.New("it was deleted or replaced since the plan was made"))
	}
	return nil
}

// record tells those who want to know later: the decisions, and whoever reads Events.
func record(ctx context.Context, d Deps, about api.Object, a Action, result api.Result, err error) {
	decision := Decision{
		Time: time.Now(), Object: describe(about), Revision: api.RevisionOf(about), Causes: api.CausesFrom(ctx),
		Step: a.String(), Why: a.Why, Wrote: result.Revision,
	}
	if err != nil {
		decision.Error = err.Error()
	}
	if d.Decisions != nil {
		d.Decisions.Add(decision)
	}
	say(ctx, d, about, a, err)
}

func say(ctx context.Context, d Deps, about api.Object, a Action, err error) {
	s := a.Say
	if s == nil || d.Events == nil {
		return
	}
	if s.About != nil {
		about = s.About
	}
	switch {
	case err == nil && s.Reason != "":
		d.Events.Event(ctx, about, s.Type, s.Reason, s.Message)
	case err != nil && s.Failed != "" && !Stale(err):
		d.Events.Event(ctx, about, corev1.EventTypeWarning, s.Failed, fmt.Sprintf("Error %s: %v", gerund[a.Verb], err))
	}
}

var gerund = map[api.Verb]string{api.VerbCreate: "creating", api.VerbUpdate: "updating", api.VerbPatch: "patching", api.VerbDelete: "deleting"}

// kindOf finds an object's kind, also if only its metadata is kept.
func kindOf(o api.Object) *api.Kind {
	if k := api.Builtin.Of(o); k != nil {
		return k
	}
	return api.Builtin.Kind(o.GetObjectKind().GroupVersionKind().GroupKind())
}

func describe(o api.Object) string {
	if k := kindOf(o); k != nil {
		return k.Singular + "/" + api.KeyOf(o).String()
	}
	return api.KeyOf(o).String()
}

// The requests that plans are made of.

// Create makes a new object.
func Create(k *api.Kind, o api.Object, why string, say *Say) Action {
	return Action{Request: api.Request{Target: api.Target{Kind: k, Key: api.KeyOf(o)}, Verb: api.VerbCreate, Body: o}, Why: why, Say: say}
}

// Update replaces an object, or with a sub its status; o carries the resourceVersion that it was planned on.
func Update(k *api.Kind, sub string, o api.Object, why string, say *Say) Action {
	return Action{Request: api.Request{Target: api.Target{Kind: k, Key: api.KeyOf(o), Sub: sub}, Verb: api.VerbUpdate, Body: o}, Why: why, Say: say}
}

// Patch changes an object by a strategic merge patch, provided that it is still the one that was planned on (same uid).
func Patch(k *api.Kind, o api.Object, data, why string, say *Say) Action {
	return Action{Request: api.Request{Target: api.Target{Kind: k, Key: api.KeyOf(o)}, Verb: api.VerbPatch,
		Patch: &api.Patch{Type: types.StrategicMergePatchType, Data: []byte(data)}, Options: api.Options{Pre: api.Preconditions{UID: o.GetUID()}}}, Why: why, Say: say}
}

// Delete asks for an object's end, provided that it is still the one that was planned on (same uid).
func Delete(k *api.Kind, o api.Object, why string, say *Say) Action {
	return Action{Request: api.Request{Target: api.Target{Kind: k, Key: api.KeyOf(o)}, Verb: api.VerbDelete,
		Options: api.Options{Pre: api.Preconditions{UID: o.GetUID()}}}, Why: why, Say: say}
}
