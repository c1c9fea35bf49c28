package ctl

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"optimist/ctl/manifest"
	"optimist/ctl/printer"
	"optimist/internal/api"
)

// documents are the flags of commands that read manifests or act without commit.
type documents struct {
	warnings
	files     []string
	kustomize string
	recursive bool
	validate  string
	dry       string // none, client (ask, but send nothing that writes) or server (all but the commit)
}

func (d *documents) flags(c *cobra.Command) {
	d.fileFlags(c)
	dryFlag(c, &d.dry)
}

func (d *documents) fileFlags(c *cobra.Command) {
	d.warnings = warnings{}
	f := c.Flags()
	f.StringSliceVarP(&d.files, "filename", "f", nil, "Files or folders that hold the objects; - reads standard input")
	f.StringVarP(&d.kustomize, "kustomize", "k", "", "A folder with a kustomization, whose objects are meant")
	f.BoolVarP(&d.recursive, "recursive", "R", false, "Read folders with everything below them")
	c.MarkFlagsMutuallyExclusive("filename", "kustomize")
}

func (d *documents) given() bool { return len(d.files) > 0 || d.kustomize != "" }

// formatFlags are those of commands that print objects; with tables, more formats than without.
func formatFlags(c *cobra.Command, f *printer.Format, tables bool) {
	flags, all := c.Flags(), printer.Formats(tables)
	flags.StringVarP(&f.Text, "output", "o", "", "Output format. One of: "+strings.Join(all, ", "))
	flags.StringVar(&f.Template, "template", "", "The template of a format that needs one (or the file that holds it); alone it means go-template")
	flags.BoolVar(&f.Missing, "allow-missing-template-keys", true, "In templates, what is not there is no error")
	flags.BoolVar(&f.Managed, "show-managed-fields", false, "Keep metadata.managedFields")
	complete(c, "output", words(all...))
}

func dryFlag(c *cobra.Command, value *string) {
	c.Flags().StringVar(value, "dry-run", "none", `"none", "client" (send no write) or "server" (the server does all but store it)`)
	c.Flags().Lookup("dry-run").NoOptDefVal = "client"
	complete(c, "dry-run", words("none", "client", "server"))
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
	o := manifest.Options{Catalogue: api.Builtin, Recursive: d.recursive, Stdin: c.InOrStdin(), Validation: validation, Warn: func(text string) { d.tell(c, text) }}
	if d.kustomize == "" {
		return manifest.Read(d.files, o)
	}
	text, err := kustomized(d.kustomize)
	if err != nil {
		return nil, []error{err}
	}
	return o.Parse(d.kustomize, text)
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

// kustomized builds what a folder's kustomization says, in the order in which objects need one another. What it refers to elsewhere is fetched by git.
func kustomized(folder string) ([]byte, error) {
	o := krusty.MakeDefaultOptions()
	o.Reorder = krusty.ReorderOptionLegacy
	built, err := krusty.MakeKustomizer(o).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, err
	}
	return built.AsYaml()
}

func kustomizeCommand() *cobra.Command {
	return &cobra.Command{Use: "kustomize [DIR]", Short: "Print the objects that a folder's kustomization makes",
		Example: "  ctl kustomize overlays/production\n  ctl apply -k overlays/production", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := kustomized(append(args, ".")[0])
			if err == nil {
				_, err = fmt.Fprint(c.OutOrStdout(), string(text))
			}
			return err
		}}
}
