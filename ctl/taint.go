package ctl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
)

func taintCommand(s *session) *cobra.Command {
	m, overwrite := newModify(s), false
	c := m.command(&cobra.Command{Use: "taint node NAME… KEY=VALUE:EFFECT… KEY[:EFFECT]-…", Short: "Set and remove taints, which keep pods off nodes",
		Example: "  ctl taint nodes n1 gpu=yes:NoSchedule\n  ctl taint nodes n1 gpu:NoSchedule-\n  ctl taint nodes n1 gpu-"})
	c.Flags().BoolVar(&overwrite, "overwrite", false, "Replace values that there are")
	c.RunE = func(c *cobra.Command, args []string) error {
		args, pairs, gone := pairs(args, "=:")
		set, err := taints(pairs)
		switch {
		case err != nil:
			return err
		case len(set)+len(gone) == 0:
			return usage(c, "at least one taint update is required")
		}
		m.change = func(o api.Object) (string, error) { return retaint(o, set, gone, overwrite) }
		return m.run(c, args)
	}
	return c
}

// taints reads KEY=VALUE:EFFECT and KEY:EFFECT.
func taints(pairs [][2]string) (all []corev1.Taint, err error) {
	for _, p := range pairs {
		value, effect, ok := strings.Cut(p[1], ":")
		if !ok { // without a value
			p[0], effect, _ = strings.Cut(p[0], ":")
		}
		t := corev1.Taint{Key: p[0], Value: value, Effect: corev1.TaintEffect(effect)}
		if !slices.Contains([]corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}, t.Effect) {
			return nil, fmt.Errorf("invalid taint effect: %s, unsupported taint effect; use NoSchedule, PreferNoSchedule or NoExecute", effect)
		}
		all = append(all, t)
	}
	return all, nil
}

func retaint(o api.Object, set []corev1.Taint, gone []string, overwrite bool) (did string, err error) {
	n, ok := o.(*corev1.Node)
	if !ok {
		return "", fmt.Errorf("only nodes have taints, not a %s", api.Builtin.Of(o).Singular)
	}
	for _, g := range gone {
		key, effect, one := strings.Cut(g, ":")
		before := len(n.Spec.Taints)
		n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(x corev1.Taint) bool { return x.Key == key && (!one || string(x.Effect) == effect) })
		if len(n.Spec.Taints) == before {
			return "", fmt.Errorf("taint %q not found", g)
		}
	}
	for _, s := range set {
		i := slices.IndexFunc(n.Spec.Taints, func(x corev1.Taint) bool { return x.MatchTaint(&s) })
		switch {
		case i < 0:
			n.Spec.Taints = append(n.Spec.Taints, s)
		case !overwrite && n.Spec.Taints[i].Value != s.Value:
			return "", fmt.Errorf("node %s already has %s taint(s) with same effect(s) and --overwrite is false", n.Name, s.Key)
		default:
			n.Spec.Taints[i].Value = s.Value
		}
	}
	switch {
	case len(set) == 0:
		return "untainted", nil
	case len(gone) > 0:
		return "modified", nil
	}
	return "tainted", nil
}

// cordonCommand makes cordon, or uncordon.
func cordonCommand(s *session, name, short string, cordoned bool) *cobra.Command {
	m := newModify(s)
	m.change = func(o api.Object) (string, error) {
		n := o.(*corev1.Node)
		if n.Spec.Unschedulable == cordoned {
			return "already " + name + "ed", nil
		}
		n.Spec.Unschedulable = cordoned
		return name + "ed", nil
	}
	c := m.command(&cobra.Command{Use: name + " NODE…", Short: short, Example: "  ctl " + name + " n1"})
	c.RunE = func(c *cobra.Command, args []string) error {
		for i := range args {
			args[i] = strings.TrimPrefix(args[i], "node/")
		}
		if len(args) == 0 {
			return usage(c, "USAGE: %s NODE", name)
		}
		return m.run(c, append([]string{"node"}, args...))
	}
	c.ValidArgsFunction = s.completeNames(api.NodeKind)
	return c
}
