package ctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/ctl/printer"
	"optimist/ctl/trace"
	"optimist/internal/api"
)

// tracing is how trees are made and shown.
type tracing struct {
	*session
	from      int64
	all, wait bool
	output    string
	timeout   time.Duration
}

// traced is a tree and the object whose change it begins with.
type traced struct {
	api.Target
	*trace.Tree
}

func traceCommand(s *session) *cobra.Command {
	t := &tracing{session: s}
	c := &cobra.Command{Use: "trace TYPE/NAME…", Short: "Draw what came of a change: who wrote what because of it, down to the containers",
		Example:           "  ctl trace deployment/web\n  ctl trace deployment/web --from 41 --all\n  ctl apply -f web.yaml --trace",
		ValidArgsFunction: s.completeObjects, RunE: t.run,
		Long: `Draw what came of a change: who wrote what because of it, down to the containers.

The change is the newest that a person made to the object (--from names another), or the object's creation if nobody did. Times count from it.
Dotted branches lead to what it only made room for. Of many writes of one sort stand there the first and the one that lasted longest.`,
	}
	f := c.Flags()
	f.Int64Var(&t.from, "from", 0, "The revision to begin with; ctl history shows them")
	f.BoolVarP(&t.wait, "wait", "w", false, "Draw it only when the change is through")
	f.StringVarP(&t.output, "output", "o", "", "Output format: json")
	t.flags(c, "timeout")
	return c
}

func (t *tracing) flags(c *cobra.Command, timeout string) {
	c.Flags().BoolVar(&t.all, "all", false, "Draw every write, also those that are like others")
	c.Flags().DurationVar(&t.timeout, timeout, time.Minute, "How long to wait for the change to be through")
}

func (t *tracing) run(c *cobra.Command, args []string) error {
	if err := oneOf("unable to match a printer suitable for the output format %q, allowed formats are: json", t.output, "", "json"); err != nil {
		return err
	}
	return t.eachNamed(c, args, func(target api.Target) error {
		root, err := t.root(c.Context(), target)
		if err != nil {
			return err
		}
		return t.draw(c, []traced{{target, trace.New(*root)}}, t.wait)
	})
}

// root finds the write to begin with.
func (t *tracing) root(ctx context.Context, target api.Target) (root *api.Entry, err error) {
	params := about(target)
	if t.from > 0 {
		params.Set("after", fmt.Sprint(t.from-1))
		params.Set("until", fmt.Sprint(t.from))
	}
	err = t.journal(ctx, params, func(e api.Entry) (bool, error) {
		if root == nil || !strings.HasPrefix(e.User, "system:") {
			root = &e
		}
		return false, nil
	})
	switch {
	case err != nil || root != nil:
		return root, err
	case t.from > 0:
		return nil, fmt.Errorf("revision %d did not change %s/%s: ctl history shows those that did", t.from, target.Kind.Singular, target.Key.Name)
	}
	if _, err := t.Get(ctx, target, api.GetOptions{}); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("the journal does not know any more who changed %s/%s", target.Kind.Singular, target.Key.Name)
}

// draw reads on from the oldest root, and draws the trees.
func (t *tracing) draw(c *cobra.Command, trees []traced, wait bool) error {
	first := slices.MinFunc(trees, func(a, b traced) int { return int(a.Root.Revision - b.Root.Revision) })
	params := url.Values{"after": {fmt.Sprint(first.Root.Revision - 1)}}
	var err error
	if wait {
		params.Set("follow", "true")
		err = t.follow(c.Context(), params, trees)
	} else {
		err = t.journal(c.Context(), params, func(e api.Entry) (bool, error) { _, err := t.add(c.Context(), trees, e); return false, err })
	}
	if err != nil && !errors.Is(err, errTimeout) {
		return err
	}
	for _, tree := range trees {
		if perr := t.print(c, tree); perr != nil {
			return perr
		}
	}
	return err
}

// add puts an entry where it belongs, and asks what the object has to say about it.
func (t *tracing) add(ctx context.Context, trees []traced, e api.Entry) (added bool, err error) {
	for _, tree := range trees {
		n := tree.Add(e)
		if n == nil {
			continue
		}
		added = true
		if !trace.Tells(e) {
			continue
		}
		var states [2]api.Object
		for i, at := range []api.Revision{e.Revision - 1, e.Revision} {
			target := api.Target{Kind: api.Builtin.Kind(e.Object.GroupKind()), Key: e.Object.Key()}
			r, err := t.Get(ctx, target, api.GetOptions{At: at})
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsResourceExpired(err) {
				return added, err
			}
			states[i] = r.Object
		}
		n.Said = trace.Said(states[0], states[1])
	}
	return added, nil
}

// calm is how long nothing more must have come of a change that looks as if it were through.
const calm = time.Second

// follow adds entries as they are written, until all changes are through.
func (t *tracing) follow(ctx context.Context, params url.Values, trees []traced) error {
	ctx, cancel := context.WithTimeoutCause(ctx, t.timeout, errTimeout)
	defer cancel()
	written, ended := make(chan api.Entry), make(chan error, 1)
	go func() {
		ended <- t.journal(ctx, params, func(e api.Entry) (bool, error) {
			select {
			case written <- e:
				return false, nil
			case <-ctx.Done():
				return true, nil
			}
		})
	}()
	for quiet := time.After(calm); ; {
		select {
		case e := <-written:
			added, err := t.add(ctx, trees, e)
			if err != nil {
				return err
			}
			if added {
				quiet = time.After(calm)
			}
		case <-quiet:
			if t.through(ctx, trees) {
				return nil
			}
			quiet = time.After(calm)
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-ended:
			return cmp.Or(context.Cause(ctx), err)
		}
	}
}

// through reports whether what was changed is as it should be. What cannot be read is not worth waiting for.
func (t *tracing) through(ctx context.Context, trees []traced) bool {
	return !slices.ContainsFunc(trees, func(tree traced) bool {
		r, err := t.Get(ctx, tree.Target, api.GetOptions{})
		if err != nil {
			return false
		}
		if r.Object.GetDeletionTimestamp() != nil {
			return true
		}
		switch o := r.Object.(type) {
		case *appsv1.Deployment:
			_, done, err := progress(o, 0)
			return !done && err == nil
		case *appsv1.ReplicaSet:
			return o.Status.ObservedGeneration < o.Generation || o.Spec.Replicas != nil && o.Status.ReadyReplicas != *o.Spec.Replicas
		case *corev1.Pod:
			return !api.Ended(o) && !api.PodReady(o)
		}
		return false
	})
}

func (t *tracing) print(c *cobra.Command, tree traced) error {
	if t.output == "json" {
		return printer.JSON(c.OutOrStdout(), tree.Root)
	}
	if cause, ok := trace.Nearest(tree.Root.Causes); ok {
		fmt.Fprintln(c.OutOrStdout(), trace.Because(cause, t.entry(c.Context(), cause.Revision), t.ns()))
	}
	return tree.Print(c.OutOrStdout(), trace.Look{Namespace: t.ns(), All: t.all})
}
