package ctl

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"optimist/ctl/manifest"
	"optimist/ctl/printer"
	"optimist/internal/api"
)

// manager is the name under which ctl's own writes are known.
const manager = "ctl"

type apply struct {
	*session
	documents
	dry      dryRun
	output   string
	service  api.Service
	warnings *warnings
}

func applyCommand(s *session) *cobra.Command {
	a := &apply{session: s}
	c := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Create or change objects so that they are as a file says",
		Long: `Create or change objects so that they are as a file says.

Each document stands alone: good ones are applied, bad ones are reported with file and line. Fields that the file no longer names but did the
last time are removed; fields that others have set stay.`,
		Example: "  ctl apply -f web.yaml\n  ctl apply -R -f manifests/\n  cat web.yaml | ctl apply -f -",
		Args:    exactly(0, "no arguments, only -f"),
		RunE:    a.run,
	}
	a.documents.flags(c)
	a.validateFlag(c)
	a.dry.flag(c)
	c.Flags().StringVarP(&a.output, "output", "o", "", "Print the result: name, yaml or json")
	return c
}

func (a *apply) run(c *cobra.Command, _ []string) error {
	if len(a.files) == 0 {
		return usage(c, "must specify -f")
	}
	if err := a.dry.check(c); err != nil {
		return err
	}
	if err := checkResultFormat(a.output); err != nil {
		return err
	}
	a.warnings = newWarnings(c.ErrOrStderr())
	service, err := a.connect()
	if err != nil {
		return err
	}
	a.service = service
	found, faults := a.read(c, a.warnings)
	if len(found)+len(faults) == 0 {
		return plain{fmt.Errorf("error: no objects passed to apply")}
	}
	return each(found, faults, func(d manifest.Document) error { return a.one(c, d) })
}

// one applies one document.
func (a *apply) one(c *cobra.Command, d manifest.Document) error {
	target, err := a.place(d)
	if err != nil {
		return err
	}
	if target.Key.Name == "" {
		return &manifest.Fault{Source: d.Source, Err: fmt.Errorf("cannot use generate name with apply; use `ctl create -f`")}
	}
	modified, err := stamp(d.Object)
	if err != nil {
		return &manifest.Fault{Source: d.Source, Err: err}
	}
	result, did, err := a.bring(c.Context(), target, modified)
	if err != nil {
		return from(did, d.Source, err)
	}
	a.warnings.all(result.Warnings)
	return printResult(c.OutOrStdout(), a.output, printer.Item{Kind: d.Kind, Object: result.Object}, did+a.dry.suffix())
}

// bring makes the object on the server as the document says, and tells what it did: created, configured or unchanged. With an error it
// tells what it was doing.
func (a *apply) bring(ctx context.Context, t api.Target, modified []byte) (api.Result, string, error) {
	current, err := a.service.Get(ctx, t, api.GetOptions{})
	if apierrors.IsNotFound(err) {
		result, err := a.create(ctx, t, modified)
		return result, pick(err, "creating", "created"), err
	}
	if err != nil {
		return api.Result{}, "retrieving", err
	}
	patch, err := a.compare(t, modified, current.Object)
	switch {
	case err != nil:
		return api.Result{}, "applying", err
	case string(patch) == "{}":
		return current, "unchanged", nil
	case a.dry == "client":
		return current, "configured", nil
	}
	result, err := a.service.Write(ctx, api.Request{Target: t, Verb: api.VerbPatch,
		Patch: &api.Patch{Type: types.StrategicMergePatchType, Data: patch}, Options: a.options()})
	return result, pick(err, "applying patch", "configured"), err
}

func (a *apply) create(ctx context.Context, t api.Target, data []byte) (api.Result, error) {
	if a.dry == "client" {
		object, err := decoded(t, data)
		return api.Result{Object: object}, err
	}
	return a.service.Write(ctx, api.Request{Target: t, Verb: api.VerbCreate,
		Raw: &api.Raw{MediaType: "application/json", Data: data}, Options: a.options()})
}

func (a *apply) compare(t api.Target, modified []byte, current api.Object) ([]byte, error) {
	original, ok := current.GetAnnotations()[corev1.LastAppliedConfigAnnotation]
	if !ok {
		a.warnings.tell(fmt.Sprintf("resource %s/%s is missing the %s annotation which is required by ctl apply. ctl apply should only be used on resources created declaratively by ctl apply. The missing annotation will be patched automatically.",
			t.Kind.Plural, t.Key.Name, corev1.LastAppliedConfigAnnotation))
	}
	if current.GetDeletionTimestamp() != nil {
		a.warnings.tell(fmt.Sprintf("Detected changes to resource %s which is currently being deleted.", t.Key.Name))
	}
	return threeWay(t.Kind, t.Version, []byte(original), modified, current)
}

func (a *apply) options() api.Options {
	return api.Options{Manager: manager, DryRun: a.dry == "server", Validation: validations[a.validate]}
}

func pick(err error, failed, done string) string {
	if err != nil {
		return failed
	}
	return done
}

// from says which document an error of the server is about. What is the matter with the whole server is nobody's document.
func from(doing string, source manifest.Source, err error) error {
	if unreachable(err) {
		return err
	}
	return &sourced{doing: doing, source: source.String(), err: err}
}
