package ctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

type deletion struct {
	selection
	documents
	now, force, wait bool
	grace            int64
	cascade, output  string
	timeout          time.Duration
}

func deleteCommand(s *session) *cobra.Command {
	d := &deletion{selection: selection{session: s}}
	c := &cobra.Command{Use: "delete TYPE NAME… | TYPE/NAME… | TYPE -l SELECTOR | -f FILE", Short: "Delete objects and wait until they are gone",
		Example:           "  ctl delete pod web-1\n  ctl delete -f web.yaml\n  ctl delete pods -l app=web\n  ctl delete pods --all",
		ValidArgsFunction: s.completeObjects, RunE: d.run}
	d.documents.flags(c)
	d.selection.flags(c)
	d.ignoreFlag(c)
	f := c.Flags()
	f.BoolVar(&d.every, "all", false, "Delete all objects of the kind in the namespace")
	f.Int64Var(&d.grace, "grace-period", -1, "Seconds to end in peace; negative means the object's own, 0 (with --force) none at all")
	f.BoolVar(&d.now, "now", false, "The same as --grace-period=1")
	f.BoolVar(&d.force, "force", false, "Remove at once, without waiting for the node (with --grace-period=0)")
	f.StringVar(&d.cascade, "cascade", "background", `What becomes of what the object owns: "background", "foreground" or "orphan"`)
	f.Lookup("cascade").NoOptDefVal = "background"
	f.BoolVar(&d.wait, "wait", true, "Wait until the objects are gone")
	f.DurationVar(&d.timeout, "timeout", 0, "How long to wait; 0 waits as long as it takes")
	f.StringVarP(&d.output, "output", "o", "", `"name" prints only names`)
	return c
}

var propagation = map[string]metav1.DeletionPropagation{
	"background": metav1.DeletePropagationBackground, "foreground": metav1.DeletePropagationForeground, "orphan": metav1.DeletePropagationOrphan,
	"true": metav1.DeletePropagationBackground, "false": metav1.DeletePropagationOrphan,
}

func (d *deletion) run(c *cobra.Command, args []string) error {
	if err := d.settle(c); err != nil {
		return err
	}
	targets, wrong := d.choose(c, args, &d.documents)
	if len(targets)+len(wrong) == 0 && !d.ignoreNotFound {
		fmt.Fprintln(c.OutOrStdout(), "No resources found")
	}
	return d.remove(c, targets, wrong)
}

// settle checks the flags and brings them to their final form.
func (d *deletion) settle(c *cobra.Command) error {
	if _, ok := propagation[d.cascade]; !ok {
		return usage(c, `invalid cascade value (%s). Must be "background", "foreground", or "orphan"`, d.cascade)
	}
	switch {
	case d.now:
		d.grace = 1
	case d.force && d.grace < 0:
		d.grace = 0
	case d.grace == 0 && !d.force: // nothing is removed under its node's feet without being asked so
		d.grace = 1
	case d.force && d.grace > 0:
		return usage(c, "--force and --grace-period greater than 0 cannot be specified together")
	}
	if d.force && d.grace == 0 {
		d.tell(c, "Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.")
	}
	return cmp.Or(checkDry(d.dry), oneOf("unexpected -o output mode: %v. We only support '-o name'", d.output, "", "name"))
}

// remove asks for every deletion before it waits for the first to be through. The time to wait is that for all.
func (d *deletion) remove(c *cobra.Command, targets []api.Target, wrong faults) error {
	uids := map[api.Target]types.UID{}
	var asked []api.Target
	_ = each(targets, nil, func(t api.Target) error {
		uid, err := d.ask(c.Context(), t)
		if err == nil {
			d.report(c, t)
			asked, uids[t] = append(asked, t), uid
		} else if !d.ignoreNotFound || !apierrors.IsNotFound(err) {
			wrong.add(err)
		}
		return err
	})
	if !d.wait || d.dry != "none" {
		return wrong.err()
	}
	end := time.Now().Add(d.timeout)
	for _, t := range asked {
		timeout := time.Duration(0)
		if d.timeout > 0 {
			timeout = max(1, time.Until(end))
		}
		err := d.gone(c.Context(), timeout, t, uids[t])
		if errors.Is(err, errTimeout) {
			err = fmt.Errorf("%w on %s/%s", err, t.Kind.Plural, t.Key.Name)
		}
		wrong.add(err)
	}
	return wrong.err()
}

// ask deletes one object and returns the uid that it had.
func (d *deletion) ask(ctx context.Context, t api.Target) (types.UID, error) {
	if d.dry == "client" {
		_, err := d.Get(ctx, t, api.GetOptions{})
		return "", err
	}
	o := api.Options{Manager: manager, Propagation: propagation[d.cascade], DryRun: d.dry == "server"}
	if d.grace >= 0 {
		o.Grace = &d.grace
	}
	result, err := d.Write(ctx, api.Request{Target: t, Verb: api.VerbDelete, Options: o})
	if err != nil || result.Object == nil {
		return "", err
	}
	return result.Object.GetUID(), nil
}

// gone waits until the object with that uid ("" = any) exists no more. One that was created anew under the name does not count.
func (s *session) gone(ctx context.Context, timeout time.Duration, t api.Target, uid types.UID) error {
	there := false
	return s.watch(ctx, timeout, t, api.WatchOptions{Initial: true}, func(e api.Event) (bool, error) {
		same := e.Object != nil && (uid == "" || e.Object.GetUID() == uid)
		there = there || same
		return e.InitialEnd && !there || same && e.Type == api.Deleted, nil
	})
}

func (d *deletion) report(c *cobra.Command, t api.Target) {
	if d.output == "name" {
		fmt.Fprintln(c.OutOrStdout(), printer.Named(t.Kind, t.Key.Name))
		return
	}
	how := "deleted"
	if d.force && d.grace == 0 {
		how = "force deleted"
	}
	if t.Kind.Namespaced {
		how += fmt.Sprintf(" from %s namespace", t.Key.Namespace)
	}
	fmt.Fprintf(c.OutOrStdout(), "%s %q %s%s\n", printer.Singular(t.Kind), t.Key.Name, how, dryRuns[d.dry])
}
