package ctl

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/ctl/describe"
	"optimist/internal/api"
)

func describeCommand(s *session) *cobra.Command {
	d, docs := &selection{session: s}, &documents{}
	c := &cobra.Command{Use: "describe TYPE [NAME…] | TYPE/NAME…", Short: "Tell all about objects: fields, what belongs to them, events, decisions",
		Example: "  ctl describe pod web-1\n  ctl describe deploy/web\n  ctl describe nodes", ValidArgsFunction: s.completeObjects,
		RunE: func(c *cobra.Command, args []string) error { return d.describe(c, args, docs) }}
	d.flags(c)
	docs.fileFlags(c)
	return c
}

func (s *selection) describe(c *cobra.Command, args []string, docs *documents) error {
	wants, all := s.from(c, args, docs)
	between := ""
	for _, w := range wants {
		objects, errs := s.byPrefix(c.Context(), w)
		all.add(errs...)
		for _, o := range objects {
			text := describe.Describe(c.Context(), describe.Cluster{Service: s, At: time.Now()}, w.kind, o)
			fmt.Fprint(c.OutOrStdout(), between+text+s.decisions(c.Context(), w.kind, o))
			between = "\n\n"
		}
	}
	if between == "" && len(all) == 0 {
		fmt.Fprintln(c.ErrOrStderr(), s.nothing(wants))
	}
	return all.err()
}

// byPrefix finds what is wanted, or else all whose names begin so: pods have names that nobody types to their end.
func (s *selection) byPrefix(ctx context.Context, w wanted) (all []api.Object, f faults) {
	if len(w.names) == 0 {
		list, errs := s.list(ctx, w, api.Full)
		return list.Items, errs
	}
	for _, name := range w.names {
		list, errs := s.list(ctx, wanted{w.kind, []string{name}, w.ns}, api.Full)
		if apierrors.IsNotFound(errs.err()) {
			list, _ = s.list(ctx, wanted{kind: w.kind, ns: w.ns}, api.Full) // the error there is already
			list.Items = slices.DeleteFunc(list.Items, func(o api.Object) bool { return !strings.HasPrefix(o.GetName(), name) })
		}
		if all = append(all, list.Items...); len(list.Items) == 0 {
			f.add(errs...)
		}
	}
	return all, f
}
