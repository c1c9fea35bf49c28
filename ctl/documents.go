package ctl

import (
	"fmt"

	"github.com/spf13/cobra"

	"optimist/ctl/manifest"
	"optimist/internal/api"
)

// documents are the flags of commands that read manifests or act without commit.
type documents struct {
	warnings
	files     []string
	recursive bool
	validate  string
	dry       string // none, client (ask, but send nothing that writes) or server (all but the commit)
}

func (d *documents) flags(c *cobra.Command) {
	d.warnings = warnings{}
	f := c.Flags()
	f.StringSliceVarP(&d.files, "filename", "f", nil, "Files or folders that hold the objects; - reads standard input")
	f.BoolVarP(&d.recursive, "recursive", "R", false, "Read folders with everything below them")
	dryFlag(c, &d.dry)
}

func dryFlag(c *cobra.Command, value *string) {
	c.Flags().StringVar(value, "dry-run", "none", `"none", "client" (send no write) or "server" (the server does all but store it)`)
	c.Flags().Lookup("dry-run").NoOptDefVal = "client"
}

// dryRuns has what is told of actions under each value of --dry-run.
var dryRuns = map[string]string{"none": "", "client": " (dry run)", "server": " (server dry run)"}

func checkDry(value string) error {
	return oneOf(`invalid dry-run value (%s). Must be "none", "server", or "client"`, value, "none", "client", "server")
}

var validations = map[string]api.FieldValidation{
	"": api.Strict, "strict": api.Strict, "true": api.Strict, "warn": api.Warn, "ignore": api.Ignore, "false": api.Ignore,
}

func (d *documents) read(c *cobra.Command) ([]manifest.Document, []error) {
	validation, ok := validations[d.validate]
	if !ok {
		return nil, []error{usage(c, `invalid --validate value %q: use strict, warn or ignore`, d.validate)}
	}
	return manifest.Read(d.files, manifest.Options{
		Catalogue: api.Builtin, Recursive: d.recursive, Stdin: c.InOrStdin(), Validation: validation, Warn: func(text string) { d.tell(c, text) },
	})
}

// place gives a document the session's namespace if it has none, and returns what it is about.
func (s *session) place(d manifest.Document) (api.Target, error) {
	own := d.Object.GetNamespace()
	switch {
	case !d.Kind.Namespaced:
	case own == "":
		d.Object.SetNamespace(s.ns())
	case s.namespace != "" && s.namespace != own:
		return api.Target{}, &manifest.Fault{Source: d.Source, Err: fmt.Errorf(
			"the namespace from the provided object %q does not match the namespace %q. You must pass '--namespace=%s' to perform this operation", own, s.namespace, own)}
	}
	return api.Target{Kind: d.Kind, Version: d.Version, Key: api.KeyOf(d.Object)}, nil
}
