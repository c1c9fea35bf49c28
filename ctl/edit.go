package ctl

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/ctl/manifest"
	"optimist/ctl/printer"
	"optimist/internal/api"
)

// edit is a session with an editor: objects → file → editor → patches, and again while something is wrong with what was saved.
type edit struct {
	*modify
	objects  []api.Result
	targets  []api.Target
	original []byte
}

func editCommand(s *session) *cobra.Command {
	e := &edit{modify: newModify(s)}
	c := e.command(&cobra.Command{Use: "edit TYPE/NAME…", Short: "Change objects in an editor", Example: "  ctl edit deployment/web\n  KUBE_EDITOR=nano ctl edit svc web"})
	c.Flags().Lookup("local").Hidden = true
	c.RunE = e.run
	return c
}

func (e *edit) run(c *cobra.Command, args []string) error {
	if err := errors.Join(checkDry(e.dry), e.output.Parse(false)); err != nil {
		return err
	}
	targets, wrong := e.selection.choose(c, args, &e.documents)
	e.targets = targets
	if len(wrong) > 0 {
		return wrong.err()
	}
	var items []printer.Item
	for _, t := range targets {
		r, err := e.Get(c.Context(), t, api.GetOptions{})
		if err != nil {
			return err
		}
		e.objects, items = append(e.objects, r), append(items, printer.Item{Kind: t.Kind, Object: r.Object})
	}
	if len(items) == 0 {
		return errors.New("edit cancelled, no objects found")
	}
	var text bytes.Buffer
	f := printer.Format{Text: cmp.Or(map[string]string{"json": "json"}[e.output.Name], "yaml")}
	err := f.Parse(false)
	if err == nil && len(items) == 1 {
		err = f.Object(&text, items[0])
	} else if err == nil {
		err = f.Objects(&text, items)
	}
	if err != nil {
		return err
	}
	e.original = text.Bytes()
	return e.converse(c)
}

const editHead = "# What is below can be changed; lines that begin with '#' do not count, and an empty file changes nothing.\n" +
	"# When something is wrong with what was saved, the file comes back with the reason above it.\n#\n"

// converse goes round: editor, then the changes, until nothing is wrong any more or the person gives up.
func (e *edit) converse(c *cobra.Command) error {
	text, before, reasons := e.original, []byte(nil), ""
	file, err := os.CreateTemp("", "ctl-edit-*.yaml")
	if err != nil {
		return err
	}
	name := file.Name()
	_ = file.Close() // it is written anew each time
	for {
		if err := os.WriteFile(name, []byte(editHead+reasons+string(text)), 0o600); err != nil {
			return err
		}
		if err := launch(c, name); err != nil {
			return e.keep(c, name, err)
		}
		saved, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		text = withoutComments(saved)
		switch {
		case bytes.Equal(text, withoutComments(e.original)) && before == nil:
			fmt.Fprintln(c.ErrOrStderr(), "Edit cancelled, no changes made.")
			return os.Remove(name)
		case len(bytes.TrimSpace(text)) == 0:
			fmt.Fprintln(c.ErrOrStderr(), "Edit cancelled, saved file was empty.")
			return os.Remove(name)
		case bytes.Equal(text, before):
			return e.keep(c, name, errors.New("Edit cancelled, no valid changes were saved."))
		}
		before = text
		err = e.save(c, text)
		_, faulty := errors.AsType[*manifest.Fault](err)
		switch {
		case err == nil:
			return os.Remove(name)
		case apierrors.IsInvalid(err) || faulty:
			reasons = "# " + strings.ReplaceAll(strings.TrimPrefix(explain(err), "error: "), "\n", "\n# ") + "\n#\n"
			fmt.Fprintln(c.ErrOrStderr(), explain(err))
		default:
			return e.keep(c, name, err)
		}
	}
}

// keep ends without success, but keeps what was typed.
func (e *edit) keep(c *cobra.Command, name string, err error) error {
	fmt.Fprintf(c.ErrOrStderr(), "A copy of your changes has been stored to %q\n", name)
	if apierrors.IsConflict(err) {
		fmt.Fprintf(c.ErrOrStderr(), "You can run `ctl replace -f %s` to try this update again.\n", name)
	}
	return err
}

func (e *edit) save(c *cobra.Command, text []byte) error {
	found, wrong := manifest.Options{Catalogue: api.Builtin}.Parse("the edited file", text)
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	for _, d := range found {
		t, err := e.place(d)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(e.targets, func(own api.Target) bool { return own.Kind.Is(t.Kind) && own.Key == t.Key })
		if i < 0 {
			return &manifest.Fault{Source: d.Source, Err: fmt.Errorf("%s is none of the objects to edit: apiVersion, kind, name and namespace cannot be changed here", printer.Named(t.Kind, t.Key.Name))}
		}
		after, err := typed(t, d.Object)
		if err != nil {
			return err
		}
		after.SetManagedFields(e.objects[i].Object.GetManagedFields())
		if err := e.finish(c, t, api.Kinded(t.Kind, t.Version, e.objects[i].Object.DeepCopyObject().(api.Object)), after, "edited"); err != nil {
			return err
		}
	}
	return nil
}

func withoutComments(text []byte) []byte {
	var out []byte
	for line := range bytes.Lines(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))) {
		if line[0] != '#' { // further to the right it may be part of a text
			out = append(out, line...)
		}
	}
	return out
}

func launch(c *cobra.Command, file string) error {
	editor := cmp.Or(os.Getenv("KUBE_EDITOR"), os.Getenv("EDITOR"), "vi")
	program := osexec.CommandContext(c.Context(), "sh", "-c", editor+` "$1"`, "sh", file) //nolint:gosec // the user chose the editor
	if runtime.GOOS == "windows" {
		program = osexec.CommandContext(c.Context(), cmp.Or(os.Getenv("KUBE_EDITOR"), os.Getenv("EDITOR"), "notepad"), file) //nolint:gosec // the same
	}
	program.Stdin, program.Stdout, program.Stderr = c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
	if err := program.Run(); err != nil {
		return fmt.Errorf("there was a problem with the editor %q: %w", editor, err)
	}
	return nil
}
