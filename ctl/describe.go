package ctl

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/ctl/describe"
	"optimist/internal/api"
)

type description struct {
	*session
	selection
	service api.Service
}

func describeCommand(s *session) *cobra.Command {
	d := &description{session: s}
	c := &cobra.Command{
		Use:               "describe TYPE [NAME…] | TYPE/NAME…",
		Short:             "Tell all about objects: fields, what belongs to them, events, decisions",
		Example:           "  ctl describe pod web-1\n  ctl describe deploy/web\n  ctl describe nodes",
		ValidArgsFunction: s.completeObjects,
		RunE:              d.run,
	}
	d.selection.flags(c)
	return c
}

func (d *description) run(c *cobra.Command, args []string) error {
	wants, err := parseArgs(api.Builtin, args)
	if err != nil {
		return usageError(c, err)
	}
	if err := d.check(wants); err != nil {
		return err
	}
	if d.service, err = d.connect(); err != nil {
		return err
	}
	var faults []error
	first := true
	for _, w := range wants {
		objects, errs := d.objects(c.Context(), w)
		faults = append(faults, errs...)
		for _, o := range objects {
			if !first {
				fmt.Fprint(c.OutOrStdout(), "\n\n")
			}
			first = false
			cluster := describe.Cluster{Service: d.service, At: time.Now()}
			fmt.Fprint(c.OutOrStdout(), describe.Describe(c.Context(), cluster, w.kind, o)+d.decisions(c.Context(), w.kind, o))
		}
	}
	if first && len(faults) == 0 {
		fmt.Fprintf(c.ErrOrStderr(), "No resources found in %s namespace.\n", d.ns())
	}
	return joined(faults)
}

func (d *description) objects(ctx context.Context, w wanted) ([]api.Object, []error) {
	if len(w.names) == 0 {
		list, err := d.service.List(ctx, d.where(d.session, w.kind), d.options(api.Full))
		return list.Items, errList(err)
	}
	var all []api.Object
	var faults []error
	for _, name := range w.names {
		found, err := d.named(ctx, w.kind, name)
		all, faults = append(all, found...), append(faults, errList(err)...)
	}
	return all, faults
}

// named finds an object, or all whose names begin so: pods have names that nobody types to their end.
func (d *description) named(ctx context.Context, k *api.Kind, name string) ([]api.Object, error) {
	result, err := d.service.Get(ctx, d.target(k, name), api.GetOptions{})
	if err == nil {
		return []api.Object{result.Object}, nil
	}
	if !apierrors.IsNotFound(err) {
		return nil, err
	}
	list, listErr := d.service.List(ctx, d.target(k, ""), api.ListOptions{})
	if listErr != nil {
		return nil, err
	}
	var found []api.Object
	for _, o := range list.Items {
		if strings.HasPrefix(o.GetName(), name) {
			found = append(found, o)
		}
	}
	if len(found) == 0 {
		return nil, err
	}
	return found, nil
}
