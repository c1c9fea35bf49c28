package ctl

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/yaml"

	"optimist/ctl/manifest"
	"optimist/ctl/printer"
	"optimist/internal/api"
)

// differ compares what is with what apply would make of it. Exit codes are diff's: 0 the same, 1 different, more: it failed.
type differ struct {
	writing
	managed, secrets bool
	live, merged     string // the folders that hold both sides
}

func diffCommand(s *session) *cobra.Command {
	d := &differ{writing: writing{session: s}}
	c := &cobra.Command{Use: "diff -f FILE", Short: "Show what apply would change", Args: exactly(0, "no arguments, only -f"),
		Example: "  ctl diff -f web.yaml\n  KUBECTL_EXTERNAL_DIFF='diff -y' ctl diff -k overlays/production",
		RunE: func(c *cobra.Command, _ []string) error {
			err := d.run(c)
			if _, own := errors.AsType[*exitError](err); err == nil || own {
				return err
			}
			return &exitError{2, explain(err)}
		}}
	d.fileFlags(c)
	d.managerFlag(c, manager)
	d.server.flags(c)
	c.Flags().BoolVar(&d.managed, "show-managed-fields", false, "Compare metadata.managedFields too")
	c.Flags().BoolVar(&d.secrets, "show-secrets", false, "Do not hide what Secrets hold")
	d.dry, d.plain = "server", true
	return c
}

func (d *differ) run(c *cobra.Command) (err error) {
	if err := d.server.check(c, d.dry); err != nil {
		return err
	}
	if !d.given() {
		return usage(c, "must specify one of -f and -k")
	}
	for name, folder := range map[string]*string{"LIVE-": &d.live, "MERGED-": &d.merged} {
		if *folder, err = os.MkdirTemp("", name); err != nil {
			return err
		}
		defer os.RemoveAll(*folder)
	}
	found, wrong := d.read(c)
	if err := each(found, wrong, func(doc manifest.Document) error { return d.one(c, doc) }); err != nil {
		return err
	}
	words := []string{"diff", "-u", "-N"}
	if own := strings.Fields(os.Getenv("KUBECTL_EXTERNAL_DIFF")); len(own) > 0 {
		words = own[:1]
		for _, word := range own[1:] {
			if regexp.MustCompile(`^[a-zA-Z0-9-=]+$`).MatchString(word) {
				words = append(words, word)
			}
		}
	}
	program := osexec.CommandContext(c.Context(), words[0], append(words[1:], d.live, d.merged)...) //nolint:gosec // the user chose the program
	program.Stdout, program.Stderr = c.OutOrStdout(), c.ErrOrStderr()
	err = program.Run()
	if exit, ok := errors.AsType[*osexec.ExitError](err); ok && exit.ExitCode() == 1 {
		return &exitError{code: 1}
	}
	if err != nil {
		return fmt.Errorf("failed to run %q: %w", words[0], err)
	}
	return nil
}

// one writes both sides of an object into the folders.
func (d *differ) one(c *cobra.Command, doc manifest.Document) error {
	t, err := d.place(doc)
	if err != nil {
		return err
	}
	live, err := d.Get(c.Context(), t, api.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	merged, doing, err := d.apply(c, t, doc)
	if err != nil {
		return &sourced{doing: doing, source: doc.Source.String(), err: err}
	}
	was, errWas := d.side(t, live.Object)
	is, errIs := d.side(t, merged.Object)
	if t.Kind.Is(api.SecretKind) && !d.secrets {
		mask(was, is)
	}
	gvk := t.Kind.GVK(t.Version)
	name := strings.TrimPrefix(strings.Join([]string{gvk.Group, gvk.Version, gvk.Kind, t.Key.Namespace, t.Key.Name}, "."), ".")
	return cmp.Or(errWas, errIs, write(d.live, name, was), write(d.merged, name, is))
}

// side is an object as maps and lists; nil if there is none.
func (d *differ) side(t api.Target, o api.Object) (map[string]any, error) {
	if o == nil {
		return nil, nil
	}
	o = api.Kinded(t.Kind, t.Version, o.DeepCopyObject().(api.Object))
	if !d.managed {
		o.SetManagedFields(nil)
	}
	return printer.Data(o)
}

func write(folder, name string, data map[string]any) error {
	text, err := yaml.Marshal(data)
	if err != nil || data == nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, name), text, 0o600)
}

// mask hides what Secrets hold, but not whether it changes.
func mask(live, merged map[string]any) {
	before, _ := live["data"].(map[string]any)
	after, _ := merged["data"].(map[string]any)
	for key, value := range after {
		old, had := before[key]
		switch after[key] = "***"; {
		case had && old != value:
			before[key], after[key] = "*** (before)", "*** (after)"
		case had:
			before[key] = "***"
		}
	}
	for key := range before {
		if _, has := after[key]; !has {
			before[key] = "***"
		}
	}
	for _, side := range []map[string]any{live, merged} {
		if m, ok := side["metadata"].(map[string]any); ok {
			if a, ok := m["annotations"].(map[string]any); ok && a["kubectl.kubernetes.io/last-applied-configuration"] != nil {
				a["kubectl.kubernetes.io/last-applied-configuration"] = "***"
			}
		}
	}
}
