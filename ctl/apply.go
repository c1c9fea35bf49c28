package ctl

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"

	"optimist/ctl/manifest"
	"optimist/ctl/printer"
	"optimist/ctl/trace"
	"optimist/internal/api"
)

// manager is the name under which ctl applies; other commands append their own: ctl-scale. Applies own what they set, and may let go of it.
const manager = "ctl"

// writing is what apply and create share: both bring documents to the server.
type writing struct {
	*session
	documents
	output  printer.Format
	manager string
	plain   bool       // apply without the last-applied annotation: diff
	save    bool       // what was written goes into the last-applied annotation
	server  serverSide // apply only
	traced  bool       // apply only
	tracing tracing
	changed []traced
}

// bring does it with one document, and tells what it did: created, configured or unchanged. With an error it tells what it was doing.
type bring func(c *cobra.Command, t api.Target, d manifest.Document) (api.Result, string, error)

func applyCommand(s *session) *cobra.Command {
	w := &writing{session: s, tracing: tracing{session: s}, manager: manager}
	c := w.command(w.apply, &cobra.Command{Use: "apply -f FILE", Short: "Create or change objects so that they are as a file says",
		Example: "  ctl apply -f web.yaml\n  ctl apply -R -f manifests/\n  ctl apply -f web.yaml --trace\n  cat web.yaml | ctl apply -f -",
		Long: `Create or change objects so that they are as a file says.

Each document stands alone: good ones are applied, bad ones are reported with file and line. Fields that the file no longer names but did the
last time are removed; fields that others have set stay. With --server-side it is the server that remembers, for every manager by its name, and a
field that another one has is not changed.`,
	})
	c.Flags().BoolVar(&w.traced, "trace", false, "Wait until the changes are through, then draw what came of them")
	w.tracing.flags(c, "trace-timeout")
	w.server.flags(c)
	return c
}

func (w *writing) command(do bring, c *cobra.Command) *cobra.Command {
	w.documents.flags(c)
	w.validateFlag(c)
	w.managerFlag(c, cmp.Or(w.manager, manager+"-"+c.Name()))
	formatFlags(c, &w.output, false)
	c.Args = exactly(0, "no arguments, only -f")
	c.RunE = func(c *cobra.Command, _ []string) error { return w.run(c, do) }
	return c
}

func (w *writing) managerFlag(c *cobra.Command, name string) {
	c.Flags().StringVar(&w.manager, "field-manager", name, "The name under which fields are owned")
}

func (w *writing) validateFlag(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&w.validate, "validate", "strict", `What to do about unknown fields: "strict" (or true) refuses them, "warn", "ignore" (or false)`)
	f.Lookup("validate").NoOptDefVal = "strict"
	complete(c, "validate", words("strict", "warn", "ignore"))
}

func (w *writing) run(c *cobra.Command, do bring) error {
	if !w.given() {
		return usage(c, "must specify one of -f and -k")
	}
	if err := errors.Join(checkDry(w.dry), w.server.check(c, w.dry), w.output.Parse(false)); err != nil {
		return err
	}
	found, wrong := w.read(c)
	if len(found)+len(wrong) == 0 {
		return fmt.Errorf("no objects passed to %s", c.Name())
	}
	err := each(found, wrong, func(d manifest.Document) error { return w.one(c, d, do) })
	if !w.traced || len(w.changed) == 0 {
		return err
	}
	return errors.Join(err, w.tracing.draw(c, w.changed, true))
}

func (w *writing) one(c *cobra.Command, d manifest.Document, do bring) error {
	target, err := w.place(d)
	if err != nil {
		return err
	}
	result, did, err := do(c, target, d)
	switch {
	case unreachable(err): // what is the matter with the whole server is nobody's document
		return err
	case err != nil:
		return &sourced{doing: did, source: d.Source.String(), err: err}
	}
	w.tell(c, result.Warnings...)
	if w.traced && did != "unchanged" && w.dry == "none" {
		if root := w.entry(c.Context(), result.Revision); root != nil {
			w.changed = append(w.changed, traced{target, trace.New(*root)})
		}
	}
	return w.report(c, printer.Item{Kind: d.Kind, Object: result.Object}, did)
}

func (w *writing) report(c *cobra.Command, item printer.Item, did string) error {
	if w.output.Name != "" {
		return w.output.Object(c.OutOrStdout(), item)
	}
	_, err := fmt.Fprintln(c.OutOrStdout(), item.Name(), did+dryRuns[w.dry])
	return err
}

func (w *writing) create(c *cobra.Command, t api.Target, d manifest.Document) (api.Result, string, error) {
	data, err := d.Object.MarshalJSON()
	if err != nil {
		return api.Result{}, "encoding", err
	}
	return w.send(c.Context(), t, data)
}

func (w *writing) send(ctx context.Context, t api.Target, data []byte) (api.Result, string, error) {
	if w.dry == "client" {
		object, err := t.Kind.New(t.Version)
		if err == nil {
			err = json.Unmarshal(data, object)
		}
		return api.Result{Object: object}, "created", err
	}
	return w.write(ctx, api.Request{Target: t, Verb: api.VerbCreate, Raw: &api.Raw{MediaType: "application/json", Data: data}}, "creating", "created")
}

func (w *writing) write(ctx context.Context, r api.Request, doing, did string) (api.Result, string, error) {
	r.Manager, r.DryRun, r.Validation = w.manager, w.dry == "server", validations[w.validate]
	result, err := w.Write(ctx, r)
	if err != nil {
		did = doing
	}
	return result, did, err
}

func (w *writing) apply(c *cobra.Command, t api.Target, d manifest.Document) (api.Result, string, error) {
	if t.Key.Name == "" {
		return api.Result{}, "applying", errors.New("cannot use generate name with apply; use `ctl create -f`")
	}
	if w.server.on {
		return w.applyThere(c.Context(), t, d)
	}
	modified, err := stamp(d.Object, w.plain)
	if err != nil {
		return api.Result{}, "applying", err
	}
	current, err := w.Get(c.Context(), t, api.GetOptions{})
	if apierrors.IsNotFound(err) {
		return w.send(c.Context(), t, modified)
	}
	if err != nil {
		return current, "retrieving", err
	}
	patch, err := w.compare(c, t, modified, current.Object)
	switch {
	case err != nil:
		return current, "applying", err
	case string(patch) == "{}":
		return current, "unchanged", nil
	case w.dry == "client":
		return current, "configured", nil
	}
	return w.write(c.Context(), api.Request{Target: t, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.StrategicMergePatchType, Data: patch}},
		"applying patch", "configured")
}

func (w *writing) compare(c *cobra.Command, t api.Target, modified []byte, current api.Object) ([]byte, error) {
	original, ok := current.GetAnnotations()[corev1.LastAppliedConfigAnnotation]
	if !ok {
		w.tell(c, fmt.Sprintf("resource %s/%s is missing the %s annotation which is required by ctl apply. ctl apply should only be used on resources created declaratively by ctl apply. The missing annotation will be patched automatically.",
			t.Kind.Plural, t.Key.Name, corev1.LastAppliedConfigAnnotation))
	}
	if current.GetDeletionTimestamp() != nil {
		w.tell(c, fmt.Sprintf("Detected changes to resource %s which is currently being deleted.", t.Key.Name))
	}
	return threeWay(t.Kind, t.Version, []byte(original), modified, current)
}

// serverSide is how apply lets the server merge, which knows whose each field is.
type serverSide struct{ on, force bool }

func (s *serverSide) flags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&s.on, "server-side", false, "Let the server merge: it knows which fields are whose, and refuses to change others'")
	f.BoolVar(&s.force, "force-conflicts", false, "With --server-side: take over the fields that others have")
}

func (s *serverSide) check(c *cobra.Command, dry string) error {
	switch {
	case s.force && !s.on:
		return usage(c, "--force-conflicts only works with --server-side")
	case s.on && dry == "client":
		return usage(c, "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)")
	}
	return nil
}

func (w *writing) applyThere(ctx context.Context, t api.Target, d manifest.Document) (api.Result, string, error) {
	data, err := d.Object.MarshalJSON()
	if err == nil && w.dry == "none" {
		err = w.handOver(ctx, t)
	}
	if err != nil {
		return api.Result{}, "applying", err
	}
	result, did, err := w.write(ctx, api.Request{Target: t, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.ApplyYAMLPatchType, Data: data},
		Options: api.Options{Force: w.server.force}}, "applying", "serverside-applied")
	if apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict) {
		err = fmt.Errorf("%w\nleave these fields out of the file, or take them over with --force-conflicts", err)
	}
	return result, did, err
}

// clientSide are the names under which ctl and kubectl apply without the server's help.
var clientSide = sets.New(manager, "kubectl-client-side-apply")

// handOver makes what was applied from here the server's knowledge: the fields that were set so far by comparing with the last-applied annotation
// become applied ones, so that those which the file no longer names go away.
func (w *writing) handOver(ctx context.Context, t api.Target) error {
	live, err := w.Get(ctx, t, api.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil || live.Object.GetAnnotations()[corev1.LastAppliedConfigAnnotation] == "" {
		return err
	}
	patch, err := csaupgrade.UpgradeManagedFieldsPatch(live.Object, clientSide, w.manager)
	if err == nil && patch != nil {
		_, _, err = w.write(ctx, api.Request{Target: t, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.JSONPatchType, Data: patch}}, "", "")
	}
	return err
}
