package ctl

import (
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/ctl/manifest"
	"optimist/ctl/printer"
	"optimist/internal/api"
)

func replaceCommand(s *session) *cobra.Command {
	w, force := &writing{session: s}, false
	c := w.command(func(c *cobra.Command, t api.Target, d manifest.Document) (api.Result, string, error) {
		if force && w.dry == "none" {
			if err := w.removeFirst(c, t); err != nil {
				return api.Result{}, "deleting", err
			}
		}
		if force {
			d.Object.SetResourceVersion("")
			d.Object.SetUID("")
			result, did, err := w.create(c, t, d)
			if err == nil {
				did = "replaced"
			}
			return result, did, err
		}
		data, err := d.Object.MarshalJSON()
		if err != nil {
			return api.Result{}, "encoding", err
		}
		return w.write(c.Context(), api.Request{Target: t, Verb: api.VerbUpdate, Raw: &api.Raw{MediaType: "application/json", Data: data}}, "replacing", "replaced")
	}, &cobra.Command{Use: "replace -f FILE", Short: "Put an object in the place of the one that there is",
		Example: "  ctl replace -f web.yaml\n  ctl get pod web -o json | ctl set resources -f - --local --requests=cpu=1 -o json | ctl replace --force -f -"})
	c.Flags().BoolVar(&force, "force", false, "Delete the old object first, then create the new one")
	return c
}

// removeFirst deletes what there is and waits until it is gone.
func (w *writing) removeFirst(c *cobra.Command, t api.Target) error {
	old, err := w.Write(c.Context(), api.Request{Target: t, Verb: api.VerbDelete, Options: api.Options{Manager: manager}})
	if err != nil || old.Object == nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s %q deleted\n", printer.Singular(t.Kind), t.Key.Name)
	return w.gone(c.Context(), 0, t, old.Object.GetUID())
}
