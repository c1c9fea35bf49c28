package ctl

import (
	"context"

	"github.com/spf13/cobra"

	"optimist/ctl/manifest"
	"optimist/ctl/printer"
	"optimist/internal/api"
)

type create struct {
	*session
	documents
	dry    dryRun
	output string
}

func createCommand(s *session) *cobra.Command {
	cr := &create{session: s}
	c := &cobra.Command{
		Use:     "create -f FILE",
		Short:   "Create objects that must not exist yet",
		Example: "  ctl create -f job.yaml\n  cat job.yaml | ctl create -f -",
		Args:    exactly(0, "no arguments, only -f"),
		RunE:    cr.run,
	}
	cr.documents.flags(c)
	cr.validateFlag(c)
	cr.dry.flag(c)
	c.Flags().StringVarP(&cr.output, "output", "o", "", "Print the result: name, yaml or json")
	return c
}

func (cr *create) run(c *cobra.Command, _ []string) error {
	if len(cr.files) == 0 {
		return usage(c, "must specify -f")
	}
	if err := cr.dry.check(c); err != nil {
		return err
	}
	if err := checkResultFormat(cr.output); err != nil {
		return err
	}
	service, err := cr.connect()
	if err != nil {
		return err
	}
	w := newWarnings(c.ErrOrStderr())
	found, faults := cr.read(c, w)
	return each(found, faults, func(d manifest.Document) error {
		result, err := cr.one(c.Context(), service, d)
		if err != nil {
			return err
		}
		w.all(result.Warnings)
		return printResult(c.OutOrStdout(), cr.output, printer.Item{Kind: d.Kind, Object: result.Object}, "created"+cr.dry.suffix())
	})
}

func (cr *create) one(ctx context.Context, service api.Service, d manifest.Document) (api.Result, error) {
	target, err := cr.place(d)
	if err != nil {
		return api.Result{}, err
	}
	data, err := d.Object.MarshalJSON()
	if err != nil {
		return api.Result{}, err
	}
	if cr.dry == "client" {
		object, err := decoded(target, data)
		return api.Result{Object: object}, err
	}
	result, err := service.Write(ctx, api.Request{Target: target, Verb: api.VerbCreate,
		Raw:     &api.Raw{MediaType: "application/json", Data: data},
		Options: api.Options{Manager: manager, DryRun: cr.dry == "server", Validation: validations[cr.validate]}})
	if err != nil {
		err = from("creating", d.Source, err)
	}
	return result, err
}
