package ctl

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/ctl/manifest"
	"optimist/ctl/printer"
	"optimist/internal/api"
)

type replace struct {
	writing
	force bool
}

func replaceCommand(s *session) *cobra.Command {
	r := &replace{writing: writing{session: s}}
	c := r.command(r.replace, &cobra.Command{
		Use:     "replace -f FILE",
		Short:   "Put an object in the place of the one that there is",
		Example: "  ctl replace -f web.yaml\n  ctl get pod web -o json | ctl set resources -f - --local --requests=cpu=1 -o json | ctl replace --force -f -",
	})
	c.Flags().BoolVar(&r.force, "force", false, "Delete the old object first, then create the new one")
	return c
}

func (r *replace) replace(c *cobra.Command, t api.Target, d manifest.Document) (api.Result, string, error) {
	if !r.force {
		data, err := d.Object.MarshalJSON()
		if err != nil {
			return api.Result{}, "encoding", err
		}
		return r.write(c.Context(), api.Request{Target: t, Verb: api.VerbUpdate, Raw: &api.Raw{MediaType: "application/json", Data: data}}, "replacing", "replaced")
	}
	if r.dry == "none" {
		if err := r.remove(c, t); err != nil {
			return api.Result{}, "deleting", err
		}
	}
	d.Object.SetResourceVersion("")
	d.Object.SetUID("")
	result, did, err := r.create(c, t, d)
	if err == nil {
		did = "replaced"
	}
	return result, did, err
}

// remove deletes what there is and waits until it is gone.
func (r *replace) remove(c *cobra.Command, t api.Target) error {
	old, err := r.Write(c.Context(), api.Request{Target: t, Verb: api.VerbDelete, Options: api.Options{Manager: manager}})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s %q deleted", printer.Singular(t.Kind), t.Key.Name)
	if t.Kind.Namespaced {
		fmt.Fprintf(c.OutOrStdout(), " from %s namespace", t.Key.Namespace)
	}
	fmt.Fprintln(c.OutOrStdout())
	return r.goneOf(c.Context(), t, old)
}

func (r *replace) goneOf(ctx context.Context, t api.Target, old api.Result) error {
	if old.Object == nil {
		return nil
	}
	return r.gone(ctx, 0, t, old.Object.GetUID())
}
