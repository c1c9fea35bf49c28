package ctl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"optimist/ctl/manifest"
	"optimist/ctl/printer"
	"optimist/internal/api"
)

// generator is a command that makes an object out of its arguments: a row of a table.
type generator struct {
	use, short string // use begins with the command's name, and its other names: "deployment|deploy NAME …"
	flags      []flag
	failed     string // before what the server complains of, as kubectl has it; "" = nothing
	build      func(g *given) (api.Object, error)
}

// flag is one of a generator's own: "replicas r" is --replicas and -r, "image!" must be given. Its type is that of its default.
type flag struct {
	name  string
	value any // string, int32, bool, []string (divided by commas too) or repeated
	help  string
}

type repeated []string // a flag that may be given several times, and whose values may hold commas

// given is what a generator was called with.
type given struct {
	*writing
	*cobra.Command
	name string
	args []string   // after the name: a command to run
	more api.Object // what is made after the object itself; nil = nothing
}

// These cannot fail: the flags are the generator's own.
func (g *given) text(flag string) string  { v, _ := g.Flags().GetString(flag); return v }
func (g *given) number(flag string) int32 { v, _ := g.Flags().GetInt32(flag); return v }
func (g *given) is(flag string) bool      { v, _ := g.Flags().GetBool(flag); return v }

func (g *given) list(flag string) []string {
	if f := g.Flags().Lookup(flag); f != nil && f.Value.Type() == "stringArray" {
		v, _ := g.Flags().GetStringArray(flag)
		return v
	}
	v, _ := g.Flags().GetStringSlice(flag)
	return v
}

func (s *session) addFlags(c *cobra.Command, flags []flag) {
	f := c.Flags()
	for _, own := range flags {
		name, short, _ := strings.Cut(strings.TrimSuffix(own.name, "!"), " ")
		switch v := own.value.(type) {
		case string:
			f.StringP(name, short, v, own.help)
		case int32:
			f.Int32P(name, short, v, own.help)
		case bool:
			f.BoolP(name, short, v, own.help)
		case []string:
			f.StringSliceP(name, short, v, own.help)
		case repeated:
			f.StringArrayP(name, short, v, own.help)
		}
		if k := map[string]*api.Kind{"role": api.RoleKind, "clusterrole": api.ClusterRoleKind}[name]; k != nil {
			complete(c, name, s.completeNames(k))
		}
		if strings.HasSuffix(own.name, "!") {
			_ = c.MarkFlagRequired(name) // it is there
		}
	}
}

// called is a command by its name and its other names: "deployment|deploy NAME …".
func called(use, short string) *cobra.Command {
	names, rest, _ := strings.Cut(use, " ")
	all := strings.Split(names, "|")
	return &cobra.Command{Use: strings.TrimSpace(all[0] + " " + rest), Aliases: all[1:], Short: short}
}

// generate makes the command of a row. manager is the name under which it writes.
func generate(s *session, manager string, row generator) *cobra.Command {
	w := &writing{session: s}
	c := called(row.use, row.short)
	w.makingFlags(c, manager)
	s.addFlags(c, row.flags)
	c.RunE = func(c *cobra.Command, args []string) error {
		n := c.ArgsLenAtDash()
		if n < 0 {
			n = len(args)
		}
		if n != 1 {
			return usage(c, "exactly one NAME is required, got %d", n)
		}
		if err := errors.Join(checkDry(w.dry), w.output.Parse(false)); err != nil {
			return err
		}
		g := &given{writing: w, Command: c, name: args[0], args: args[1:]}
		o, err := row.build(g)
		if err != nil {
			return err
		}
		o.SetName(g.name)
		if err = w.make(c, o, "created"); err == nil && g.more != nil {
			err = w.make(c, g.more, "created")
		}
		if err == nil || unreachable(err) || row.failed == "" {
			return err
		}
		return fmt.Errorf("failed to create %s%s", row.failed, err.Error()) // worded as a fault of ctl, not as the server's, for so does kubectl
	}
	return c
}

// makingFlags are those of commands that make an object themselves.
func (w *writing) makingFlags(c *cobra.Command, name string) {
	w.managerFlag(c, name)
	w.warnings = warnings{}
	dryFlag(c, &w.dry)
	formatFlags(c, &w.output, false)
	w.validateFlag(c)
	c.Flags().BoolVar(&w.save, "save-config", false, "Keep what was made in an annotation, for apply")
	c.PreRunE = func(*cobra.Command, []string) error {
		if err := w.connect(); w.dry != "client" {
			return err
		}
		return nil // nobody is asked, so nobody needs to be there
	}
}

// make creates an object that ctl has made, and tells.
func (w *writing) make(c *cobra.Command, o api.Object, did string) error {
	kind := api.Builtin.Of(o)
	if kind == nil {
		return fmt.Errorf("this cluster has no objects like %T", o)
	}
	version := kind.GVK("").Version
	data, err := printer.Data(api.Kinded(kind, version, o))
	if err != nil {
		return err
	}
	d := manifest.Document{Kind: kind, Version: version, Object: &unstructured.Unstructured{Object: data}}
	t := api.Target{Kind: kind, Version: version, Key: w.target(kind, o.GetName()).Key}
	if t.Key.Namespace != "" && (w.dry != "client" || w.namespace != "") {
		d.Object.SetNamespace(t.Key.Namespace)
	}
	body, err := d.Object.MarshalJSON()
	if w.save {
		body, err = stamp(d.Object, false)
	}
	if err != nil {
		return err
	}
	r, _, err := w.send(c.Context(), t, body)
	if err != nil {
		return err
	}
	w.tell(c, r.Warnings...)
	return w.report(c, printer.Item{Kind: kind, Object: r.Object}, did)
}

// assignments reads a=b,c=d. what names them in errors.
func assignments(what string, texts ...string) (map[string]string, error) {
	all := map[string]string{}
	for _, text := range texts {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("%s %s is invalid and should be in format key=[value]", what, text)
		}
		all[key] = value
	}
	return all, nil
}
