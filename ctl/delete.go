package ctl

import (
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
	*session
	documents
	selection
	dry            dryRun
	every          bool
	grace          int64
	now, force     bool
	cascade        string
	wait           bool
	timeout        time.Duration
	ignoreNotFound bool
	output         string
	service        api.Service
}

func deleteCommand(s *session) *cobra.Command {
	d := &deletion{session: s}
	c := &cobra.Command{
		Use:               "delete TYPE NAME… | TYPE/NAME… | TYPE -l SELECTOR | -f FILE",
		Short:             "Delete objects and wait until they are gone",
		Example:           "  ctl delete pod web-1\n  ctl delete -f web.yaml\n  ctl delete pods -l app=web\n  ctl delete pods --all",
		ValidArgsFunction: s.completeObjects,
		RunE:              d.run,
	}
	d.documents.flags(c)
	d.selection.flags(c)
	d.dry.flag(c)
	f := c.Flags()
	f.BoolVar(&d.every, "all", false, "Delete all objects of the kind in the namespace")
	f.Int64Var(&d.grace, "grace-period", -1, "Seconds to end in peace; negative means the object's own, 0 (with --force) none at all")
	f.BoolVar(&d.now, "now", false, "The same as --grace-period=1")
	f.BoolVar(&d.force, "force", false, "Remove at once, without waiting for the node (with --grace-period=0)")
	f.StringVar(&d.cascade, "cascade", "background", `What becomes of what the object owns: "background", "foreground" or "orphan"`)
	f.Lookup("cascade").NoOptDefVal = "background"
	f.BoolVar(&d.wait, "wait", true, "Wait until the objects are gone")
	f.DurationVar(&d.timeout, "timeout", 0, "How long to wait; 0 waits as long as it takes")
	f.BoolVar(&d.ignoreNotFound, "ignore-not-found", false, "A missing object is no error")
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
	service, err := d.connect()
	if err != nil {
		return err
	}
	d.service = service
	targets, faults := d.targets(c, args)
	if len(targets) == 0 && len(faults) == 0 && !d.ignoreNotFound {
		fmt.Fprintln(c.OutOrStdout(), "No resources found")
	}
	return d.all(c, targets, faults)
}

// settle checks the flags and brings them to their final form.
func (d *deletion) settle(c *cobra.Command) error {
	if _, ok := propagation[d.cascade]; !ok {
		return usage(c, `invalid cascade value (%s). Must be "background", "foreground", or "orphan"`, d.cascade)
	}
	if d.output != "" && d.output != "name" {
		return usage(c, "unexpected -o output mode: %v. We only support '-o name'", d.output)
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
		newWarnings(c.ErrOrStderr()).tell("Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.")
	}
	return d.dry.check(c)
}

// targets are the objects to delete, by file, by name or by selector.
func (d *deletion) targets(c *cobra.Command, args []string) ([]api.Target, []error) {
	if len(d.files) > 0 {
		return d.fromFiles(c, args)
	}
	wants, err := parseArgs(api.Builtin, args)
	if err != nil {
		return nil, []error{usageError(c, err)}
	}
	if err := d.check(wants); err != nil {
		return nil, []error{err}
	}
	var targets []api.Target
	var faults []error
	for _, w := range wants {
		t, err := d.ofKind(c.Context(), w)
		targets, faults = append(targets, t...), append(faults, errList(err)...)
	}
	return targets, faults
}

func (d *deletion) fromFiles(c *cobra.Command, args []string) ([]api.Target, []error) {
	if len(args) > 0 {
		return nil, []error{usage(c, "when paths are provided as input, you may not specify resource arguments as well")}
	}
	found, faults := d.read(c, newWarnings(c.ErrOrStderr()))
	var targets []api.Target
	for _, doc := range found {
		t, err := d.place(doc)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		targets = append(targets, t)
	}
	return targets, faults
}

func (d *deletion) ofKind(ctx context.Context, w wanted) ([]api.Target, error) {
	var targets []api.Target
	for _, name := range w.names {
		targets = append(targets, d.target(w.kind, name))
	}
	switch {
	case len(w.names) > 0 && d.every:
		return nil, errors.New("setting 'all' parameter but found a non empty selector or names")
	case len(w.names) > 0:
		return targets, nil
	case !d.every && !d.selects():
		return nil, errors.New("resource(s) were provided, but no name was specified; say which, or --all")
	}
	list, err := d.service.List(ctx, d.where(d.session, w.kind), d.options(api.Full))
	for _, o := range list.Items {
		targets = append(targets, api.Target{Kind: w.kind, Key: api.KeyOf(o)})
	}
	return targets, err
}

// all asks for every deletion before it waits for the first to be through.
func (d *deletion) all(c *cobra.Command, targets []api.Target, faults []error) error {
	type asked struct {
		api.Target
		uid types.UID
	}
	var waiting []asked
	for _, t := range targets {
		uid, err := d.ask(c.Context(), t)
		if err != nil {
			if !d.ignoreNotFound || !apierrors.IsNotFound(err) {
				faults = append(faults, err)
			}
			if unreachable(err) {
				break
			}
			continue
		}
		d.tell(c, t)
		waiting = append(waiting, asked{t, uid})
	}
	if !d.wait || d.dry.suffix() != "" {
		return joined(faults)
	}
	ctx, cancel := d.deadline(c.Context())
	defer cancel()
	for _, w := range waiting {
		faults = append(faults, errList(gone(ctx, d.service, w.Target, w.uid))...)
	}
	return joined(faults)
}

func (d *deletion) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if d.timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d.timeout)
}

// ask deletes one object and returns the uid that it had.
func (d *deletion) ask(ctx context.Context, t api.Target) (types.UID, error) {
	if d.dry == "client" {
		_, err := d.service.Get(ctx, t, api.GetOptions{})
		return "", err
	}
	o := api.Options{Manager: manager, Propagation: propagation[d.cascade], DryRun: d.dry == "server"}
	if d.grace >= 0 {
		o.Grace = &d.grace
	}
	result, err := d.service.Write(ctx, api.Request{Target: t, Verb: api.VerbDelete, Options: o})
	if err != nil || result.Object == nil {
		return "", err
	}
	return result.Object.GetUID(), nil
}

func (d *deletion) tell(c *cobra.Command, t api.Target) {
	if d.output == "name" {
		fmt.Fprintln(c.OutOrStdout(), printer.Named(t.Kind, t.Key.Name))
		return
	}
	how := "deleted"
	if d.force && d.grace == 0 {
		how = "force deleted"
	}
	where := ""
	if t.Kind.Namespaced {
		where = fmt.Sprintf(" from %s namespace", t.Key.Namespace)
	}
	fmt.Fprintf(c.OutOrStdout(), "%s %q %s%s%s\n", printer.Singular(t.Kind), t.Key.Name, how, where, d.dry.suffix())
}
