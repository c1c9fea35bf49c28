package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

// modify is what commands share that change a little of objects: read one, change a copy, send the difference.
type modify struct {
	writing
	selection selection
	local     bool
	only      api.Preconditions
	change    func(o api.Object) (did string, err error) // alters a copy and says what it has done
	// send brings the difference to the server; patch sends what its author wrote instead.
	send func(ctx context.Context, t api.Target, before, after api.Object) (api.Result, error)
}

func newModify(s *session) *modify {
	m := &modify{writing: writing{session: s}, selection: selection{session: s}}
	m.send = m.difference
	return m
}

// command adds the flags and completion of all these commands.
func (m *modify) command(c *cobra.Command) *cobra.Command {
	m.documents.flags(c)
	m.managerFlag(c, manager+"-"+c.Name())
	m.selection.flags(c)
	c.Flags().BoolVar(&m.selection.every, "all", false, "Do it with all objects of the kind")
	c.Flags().BoolVar(&m.local, "local", false, "Change what -f holds and print it, without asking the server")
	formatFlags(c, &m.output, false)
	c.ValidArgsFunction = m.completeObjects
	return c
}

func (m *modify) run(c *cobra.Command, args []string) error {
	if err := errors.Join(checkDry(m.dry), m.output.Parse(false)); err != nil {
		return err
	}
	if m.local && !m.given() {
		return usage(c, "--local needs -f")
	}
	if !m.given() {
		targets, wrong := m.selection.choose(c, args, &m.documents)
		return each(targets, wrong, func(t api.Target) error { return m.one(c, t, nil) })
	}
	found, wrong := m.read(c)
	for _, d := range found {
		t, err := m.place(d)
		var own api.Object
		if err == nil && m.local {
			own, err = typed(t, d.Object)
		}
		if err == nil {
			err = m.one(c, t, own)
		}
		wrong = append(wrong, err)
	}
	return errors.Join(wrong...)
}

func typed(t api.Target, d json.Marshaler) (api.Object, error) {
	o, err := t.Kind.New(t.Version)
	if err != nil {
		return nil, err
	}
	text, err := d.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(text, o)
	}
	return o, err
}

// one changes one object; it is read unless it is there already.
func (m *modify) one(c *cobra.Command, t api.Target, before api.Object) error {
	if before == nil {
		r, err := m.Get(c.Context(), t, api.GetOptions{})
		if err != nil {
			return err
		}
		before = r.Object
	}
	after := before.DeepCopyObject().(api.Object)
	did, err := m.change(after)
	if err != nil || did == "" {
		return err
	}
	return m.finish(c, t, before, after, did)
}

func (m *modify) finish(c *cobra.Command, t api.Target, before, after api.Object, did string) (err error) {
	result := api.Result{Object: after}
	if !m.local && m.dry != "client" {
		if result, err = m.send(c.Context(), t, before, after); err != nil {
			return err
		}
	}
	m.tell(c, result.Warnings...)
	unchanged := api.RevisionOf(before) == api.RevisionOf(result.Object) && !m.local && m.dry == "none"
	switch {
	case m.output.Name != "":
	case unchanged && did == "patched":
		did += " (no change)"
	case unchanged && (strings.HasSuffix(did, " updated") || did == "edited"):
		return nil
	}
	return m.report(c, printer.Item{Kind: t.Kind, Object: result.Object}, did)
}

// difference sends what differs as a strategic merge patch; nothing, if nothing does.
func (m *modify) difference(ctx context.Context, t api.Target, before, after api.Object) (api.Result, error) {
	old, _ := json.Marshal(before) // of typed objects these never fail
	now, _ := json.Marshal(after)
	patch, err := strategicpatch.CreateTwoWayMergePatch(old, now, before)
	if err != nil || string(patch) == "{}" {
		return api.Result{Object: after}, err
	}
	return m.sendPatch(ctx, t, types.StrategicMergePatchType, patch)
}

func (m *modify) sendPatch(ctx context.Context, t api.Target, how types.PatchType, patch []byte) (api.Result, error) {
	return m.Write(ctx, api.Request{Target: t, Verb: api.VerbPatch, Patch: &api.Patch{Type: how, Data: patch},
		Options: api.Options{Manager: m.manager, DryRun: m.dry == "server", Pre: m.only}})
}

// pairs splits arguments like `node n1 a=b c-` into those that name objects, what shall be set, and what shall go. separators are what the
// former have and names do not.
func pairs(args []string, separators string) (objects []string, set [][2]string, gone []string) {
	first := slices.IndexFunc(args, func(a string) bool { return strings.ContainsAny(a, separators) || strings.HasSuffix(a, "-") })
	if first < 0 {
		return args, nil, nil
	}
	for _, a := range args[first:] {
		key, value, assigned := strings.Cut(a, "=")
		if name, ok := strings.CutSuffix(a, "-"); ok && !assigned {
			gone = append(gone, name)
		} else {
			set = append(set, [2]string{key, value})
		}
	}
	return args[:first], set, gone
}
