package ctl

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"optimist/ctl/manifest"
	"optimist/internal/api"
)

// documents are the flags of commands that read manifests.
type documents struct {
	files     []string
	recursive bool
	validate  string
}

func (d *documents) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVarP(&d.files, "filename", "f", nil, "Files or folders that hold the objects; - reads standard input")
	f.BoolVarP(&d.recursive, "recursive", "R", false, "Read folders with everything below them")
}

func (d *documents) validateFlag(c *cobra.Command) {
	c.Flags().StringVar(&d.validate, "validate", "strict", `What to do about unknown fields: "strict" (or true) refuses them, "warn", "ignore" (or false)`)
	c.Flags().Lookup("validate").NoOptDefVal = "strict"
}

var validations = map[string]api.FieldValidation{
	"": api.Strict, "strict": api.Strict, "true": api.Strict, "warn": api.Warn, "ignore": api.Ignore, "false": api.Ignore,
}

func (d *documents) read(c *cobra.Command, w *warnings) ([]manifest.Document, []error) {
	validation, ok := validations[d.validate]
	if !ok {
		return nil, []error{usage(c, `invalid --validate value %q: use strict, warn or ignore`, d.validate)}
	}
	return manifest.Read(d.files, manifest.Options{
		Catalogue: api.Builtin, Recursive: d.recursive, Stdin: c.InOrStdin(), Validation: validation, Warn: w.tell,
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

// each does something with every document and gathers what went wrong; the faults of reading come first. A server that cannot be reached
// ends it, for it would be the same with the next.
func each(documents []manifest.Document, faults []error, do func(manifest.Document) error) error {
	for _, d := range documents {
		err := do(d)
		if err != nil {
			faults = append(faults, err)
		}
		if unreachable(err) {
			break
		}
	}
	return joined(faults)
}

// joined is errors.Join that leaves a single error as it is, and says only once that nobody answers.
func joined(errs []error) error {
	var kept []error
	silent := false
	for _, err := range errs {
		if !unreachable(err) || !silent {
			kept = append(kept, err)
		}
		silent = silent || unreachable(err)
	}
	if len(kept) == 1 {
		return kept[0]
	}
	return errors.Join(kept...)
}

// dryRun is the flag of that name: none, client (ask, but send nothing that writes) or server (all but the commit).
type dryRun string

func (d *dryRun) flag(c *cobra.Command) {
	c.Flags().StringVar((*string)(d), "dry-run", "none", `"none", "client" (send no write) or "server" (the server does all but store it)`)
	c.Flags().Lookup("dry-run").NoOptDefVal = "client"
}

func (d dryRun) check(c *cobra.Command) error {
	switch d {
	case "", "none", "client", "server":
		return nil
	}
	return usage(c, `invalid dry-run value (%s). Must be "none", "server", or "client"`, string(d))
}

func (d dryRun) suffix() string {
	switch d {
	case "client":
		return " (dry run)"
	case "server":
		return " (server dry run)"
	}
	return ""
}
