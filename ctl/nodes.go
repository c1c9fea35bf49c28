package ctl

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
	"optimist/internal/wake"
)

// draining cordons nodes and evicts their pods, as `kubectl drain` does.
type draining struct {
	*session
	force, ignoreDaemons, deleteEmptyDirs bool
	grace                                 int
	timeout                               time.Duration
	selector                              string
}

const evictAgain = 5 * time.Second // after 429: a budget allows no disruption now

func drainCommand(s *session) *cobra.Command {
	d := draining{session: s}
	cordon := cordonCommand(s, "cordon", "", true)
	c := &cobra.Command{Use: "drain NODE…", Short: "Cordon nodes and evict their pods, before work on the machine", Example: "  ctl drain n1 --ignore-daemonsets",
		ValidArgsFunction: s.completeNames(api.NodeKind)}
	f := c.Flags()
	f.BoolVar(&d.force, "force", false, "Also evict pods that no controller will make again")
	f.BoolVar(&d.ignoreDaemons, "ignore-daemonsets", false, "Leave the pods of DaemonSets where they are")
	f.BoolVar(&d.deleteEmptyDirs, "delete-emptydir-data", false, "Also evict pods with an emptyDir, whose content goes with them")
	f.IntVar(&d.grace, "grace-period", -1, "Seconds that each pod has to end; negative: its own")
	f.DurationVar(&d.timeout, "timeout", 0, "How long to wait before giving up; 0 = for ever")
	f.StringVar(&d.selector, "pod-selector", "", "Only pods with these labels")
	c.RunE = func(c *cobra.Command, args []string) error {
		pick, err := labels.Parse(d.selector)
		if err != nil {
			return usage(c, "--pod-selector: %v", err)
		}
		cordon.SetContext(c.Context())
		cordon.SetOut(c.OutOrStdout())
		if err := cordon.RunE(cordon, args); err != nil { // takes the prefix node/ from args, too
			return err
		}
		ctx, cancel := c.Context(), context.CancelFunc(func() {})
		if d.timeout > 0 {
			ctx, cancel = context.WithTimeoutCause(ctx, d.timeout, fmt.Errorf("global timeout reached: %s", d.timeout))
		}
		defer cancel()
		var failed []error
		for _, node := range args {
			if err := d.node(ctx, c, node, pick); err != nil {
				failed = append(failed, fmt.Errorf("unable to drain node %q: %w", node, err))
				continue
			}
			fmt.Fprintf(c.OutOrStdout(), "node/%s drained\n", node)
		}
		return errors.Join(failed...)
	}
	return c
}

// node evicts nothing unless it may evict all.
func (d *draining) node(ctx context.Context, c *cobra.Command, node string, pick labels.Selector) error {
	pods, err := api.Pods.List(ctx, d, "", api.ListOptions{Selector: pick, Fields: fields.OneTermEqualSelector("spec.nodeName", node)})
	if err != nil {
		return err
	}
	refused, warned := map[string][]string{}, map[string][]string{}
	pods = slices.DeleteFunc(pods, func(p *corev1.Pod) bool {
		stay, why, bad := d.judge(p)
		if name := p.Namespace + "/" + p.Name; bad {
			refused[why] = append(refused[why], name)
		} else if why != "" {
			warned[why] = append(warned[why], name)
		}
		return stay
	})
	for _, why := range slices.Sorted(maps.Keys(refused)) {
		err = errors.Join(err, fmt.Errorf("cannot delete %s: %s", why, strings.Join(refused[why], ", ")))
	}
	if err != nil {
		return err
	}
	for _, why := range slices.Sorted(maps.Keys(warned)) {
		fmt.Fprintf(c.ErrOrStderr(), "Warning: %s: %s\n", why, strings.Join(warned[why], ", "))
	}
	var g errgroup.Group // a pod that cannot be evicted does not keep the others
	out := &serial{w: c.OutOrStdout()}
	for _, p := range pods {
		fmt.Fprintf(out, "evicting pod %s/%s\n", p.Namespace, p.Name)
		g.Go(func() error {
			if err := d.evict(ctx, out, p); err != nil {
				return fmt.Errorf("pod %s/%s: %w", p.Namespace, p.Name, err)
			}
			fmt.Fprintf(out, "pod/%s evicted\n", p.Name)
			return nil
		})
	}
	return g.Wait()
}

// judge says whether a pod is left where it is, and what there is to say about it: a warning, or why the node cannot be drained (bad).
func (d *draining) judge(p *corev1.Pod) (stay bool, why string, bad bool) {
	owner := metav1.GetControllerOfNoCopy(p)
	_, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]
	finished := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	onDisk := slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.EmptyDir != nil })
	switch {
	case mirror:
		return true, "", false
	case owner != nil && owner.Kind == "DaemonSet" && !finished:
		if !d.ignoreDaemons {
			return true, "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)", true
		}
		return true, "ignoring DaemonSet-managed Pods", false
	case onDisk && !finished && !d.deleteEmptyDirs:
		return true, "Pods with local storage (use --delete-emptydir-data to override)", true
	case owner == nil && !finished && !d.force:
		return true, "Pods that declare no controller (use --force to override)", true
	case owner == nil && !finished:
		return false, "deleting Pods that declare no controller", false
	}
	return false, "", false
}

// evict asks until a disruption is allowed, and waits until the pod is gone.
func (d *draining) evict(ctx context.Context, out *serial, p *corev1.Pod) error {
	t := api.Target{Kind: api.PodKind, Key: api.KeyOf(p), Sub: "eviction"}
	var options metav1.DeleteOptions
	if d.grace >= 0 {
		seconds := int64(d.grace)
		options.GracePeriodSeconds = &seconds
	}
	options.Preconditions = &metav1.Preconditions{UID: &p.UID}
	for {
		_, err := d.Write(ctx, api.Request{Target: t, Verb: api.VerbCreate, Options: api.Options{Manager: manager},
			Body: &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, DeleteOptions: options.DeepCopy()}})
		switch {
		case apierrors.IsNotFound(err), apierrors.IsConflict(err): // gone, or another of its name
			return nil
		case apierrors.IsTooManyRequests(err):
			fmt.Fprintf(out, "error when evicting pods/%q -n %q (will retry after %s): %v\n", p.Name, p.Namespace, evictAgain, err)
			if wake.After(ctx, evictAgain, nil) != nil {
				return context.Cause(ctx)
			}
			continue
		case err != nil:
			return err
		}
		t.Sub = ""
		if err := d.gone(ctx, 0, t, p.UID); err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		return nil
	}
}

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
		now := one(&n.Spec.Taints, s, func(x corev1.Taint) bool { return x.MatchTaint(&s) })
		if !overwrite && now.Value != s.Value {
			return "", fmt.Errorf("node %s already has %s taint(s) with same effect(s) and --overwrite is false", n.Name, s.Key)
		}
		now.Value = s.Value
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
