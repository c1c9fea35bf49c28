package ctl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
)

type taint struct {
	*modify
	overwrite bool
	set, gone []corev1.Taint // gone: with an empty effect, all of the key
}

func taintCommand(s *session) *cobra.Command {
	t := &taint{modify: newModify(s)}
	c := t.modify.command(&cobra.Command{
		Use:     "taint node NAME… KEY=VALUE:EFFECT… KEY[:EFFECT]-…",
		Short:   "Set and remove taints, which keep pods off nodes",
		Example: "  ctl taint nodes n1 gpu=yes:NoSchedule\n  ctl taint nodes n1 gpu:NoSchedule-\n  ctl taint nodes n1 gpu-",
	})
	c.Flags().BoolVar(&t.overwrite, "overwrite", false, "Replace values that there are")
	c.RunE = func(c *cobra.Command, args []string) error {
		args, set, gone := pairs(args, "=:")
		if err := t.parse(c, set, gone); err != nil {
			return err
		}
		t.change = t.alter
		return t.run(c, args)
	}
	return c
}

func (t *taint) parse(c *cobra.Command, set [][2]string, gone []string) error {
	if len(set)+len(gone) == 0 {
		return usage(c, "at least one taint update is required")
	}
	for _, s := range set {
		value, effect, ok := strings.Cut(s[1], ":")
		key := s[0]
		if !ok { // key:Effect, without a value
			key, effect, _ = strings.Cut(s[0], ":")
		}
		if !slices.Contains([]corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}, corev1.TaintEffect(effect)) {
			return fmt.Errorf("invalid taint effect: %s, unsupported taint effect; use NoSchedule, PreferNoSchedule or NoExecute", effect)
		}
		t.set = append(t.set, corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)})
	}
	for _, g := range gone {
		key, effect, _ := strings.Cut(g, ":")
		t.gone = append(t.gone, corev1.Taint{Key: key, Effect: corev1.TaintEffect(effect)})
	}
	return nil
}

func (t *taint) alter(o api.Object) (did string, err error) {
	n, err := asNode(o)
	if err != nil {
		return "", err
	}
	for _, g := range t.gone {
		before := len(n.Spec.Taints)
		n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(x corev1.Taint) bool { return x.Key == g.Key && (g.Effect == "" || x.Effect == g.Effect) })
		if len(n.Spec.Taints) == before {
			return "", fmt.Errorf("taint %q not found", strings.TrimSuffix(g.Key+":"+string(g.Effect), ":"))
		}
	}
	for _, s := range t.set {
		i := slices.IndexFunc(n.Spec.Taints, func(x corev1.Taint) bool { return x.MatchTaint(&s) })
		switch {
		case i < 0:
			n.Spec.Taints = append(n.Spec.Taints, s)
		case !t.overwrite && n.Spec.Taints[i].Value != s.Value:
			return "", fmt.Errorf("node %s already has %s taint(s) with same effect(s) and --overwrite is false", n.Name, s.Key)
		default:
			n.Spec.Taints[i].Value = s.Value
		}
	}
	switch {
	case len(t.set) > 0 && len(t.gone) > 0:
		return "modified", nil
	case len(t.gone) > 0:
		return "untainted", nil
	}
	return "tainted", nil
}

func asNode(o api.Object) (*corev1.Node, error) {
	n, ok := o.(*corev1.Node)
	if !ok {
		return nil, fmt.Errorf("only nodes can be tainted or cordoned, not a %s", api.Builtin.Of(o).Singular)
	}
	return n, nil
}

// cordonCommand makes cordon, or uncordon.
func cordonCommand(s *session, name, short string, cordoned bool) *cobra.Command {
	m := newModify(s)
	m.change = func(o api.Object) (string, error) {
		n, err := asNode(o)
		if err != nil {
			return "", err
		}
		if n.Spec.Unschedulable == cordoned {
			return "already " + name + "ed", nil
		}
		n.Spec.Unschedulable = cordoned
		return name + "ed", nil
	}
	c := m.command(&cobra.Command{
		Use:     name + " NODE…",
		Short:   short,
		Example: "  ctl " + name + " n1",
		RunE: func(c *cobra.Command, args []string) error {
			for i := range args {
				args[i] = strings.TrimPrefix(strings.TrimPrefix(args[i], "node/"), "nodes/")
			}
			if len(args) == 0 && m.label == "" {
				return usage(c, "USAGE: %s NODE", name)
			}
			return m.run(c, append([]string{"node"}, args...))
		},
	})
	c.ValidArgsFunction = s.completeNames(api.NodeKind)
	return c
}
