package ctl

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/duration"

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

// decision is a line of what scheduler and controllers tell of their steps.
type decision struct {
	By       string       `json:"-"`
	Time     time.Time    `json:"time"`
	Revision api.Revision `json:"revision"`
	Step     string       `json:"step"`
	Why      string       `json:"why"`
	Error    string       `json:"error"`
}

const (
	maxDecisions = 20              // the newest; the components remember more
	askedFor     = 2 * time.Second // a description does not wait long for them
)

// decisions is the last section of a description: what was decided about the object, and why. It is left out when nobody can be asked.
func (s *session) decisions(ctx context.Context, k *api.Kind, o api.Object) string {
	ctx, cancel := context.WithTimeout(ctx, askedFor)
	defer cancel()
	var all []decision
	for _, component := range []string{"scheduler", "controllers"} {
		all = append(all, s.ask(ctx, component, k.Singular+"/"+api.KeyOf(o).String())...)
	}
	if len(all) == 0 {
		return ""
	}
	slices.SortStableFunc(all, func(a, b decision) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Revision, b.Revision)) })
	return printDecisions(all[max(0, len(all)-maxDecisions):], time.Now())
}

func (s *session) ask(ctx context.Context, component, object string) []decision {
	target := api.Target{Kind: api.ComponentStatusKind, Key: api.Key{Name: component}, Sub: "decisions"}
	var answer bytes.Buffer
	if s.listen(ctx, target, url.Values{"object": {object}}, &answer) != nil {
		return nil
	}
	var all []decision
	for line := range bytes.Lines(answer.Bytes()) {
		x := decision{By: component}
		if json.Unmarshal(line, &x) == nil {
			all = append(all, x)
		}
	}
	return all
}

func printDecisions(all []decision, now time.Time) string {
	var text strings.Builder
	fmt.Fprintln(&text, "Decisions:")
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "  Age\tBy\tSeen\tStep\tWhy\n  ---\t--\t----\t----\t---\n")
	for _, x := range all {
		why := x.Why
		if x.Error != "" {
			why += " (failed: " + x.Error + ")"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", duration.HumanDuration(now.Sub(x.Time)), x.By, x.Revision, x.Step, why)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return text.String()
}
