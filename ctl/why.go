package ctl

import (
	"bytes"
	"cmp"
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"optimist/ctl/cluster"
	"optimist/ctl/parts"
	"optimist/ctl/printer"
	"optimist/ctl/why"
	"optimist/internal/api"
)

// broken is why's exit code when there is a cause: the question was answered, but not well.
const broken = 3

type whyFlags struct {
	*session
	output string
}

func whyCommand(s *session) *cobra.Command {
	w := &whyFlags{session: s}
	c := &cobra.Command{Use: "why TYPE/NAME", Short: "Find out what is the matter with an object, and what to do next",
		Example: "  ctl why pod/web-1\n  ctl why deployment web\n  ctl why node/n1\n  ctl why ns/old -o json", ValidArgsFunction: s.completeObjects,
		RunE: w.run,
		Long: `Find out what is the matter with an object, and what to do next.

What is asked about may wait for something else: then that is followed down to the cause. The last lines are the cause and the command to try.
The exit code is 0 if nothing is the matter, 3 if there is a cause, and 1 if the question could not be answered.`,
	}
	c.Flags().StringVarP(&w.output, "output", "o", "", `"json" prints the diagnosis as data`)
	return c
}

func (w *whyFlags) run(c *cobra.Command, args []string) error {
	target, err := w.oneNamed(c, args)
	if err != nil {
		return err
	}
	if err := oneOf("unexpected -o output mode: %v. We only support '-o json'", w.output, "", "json"); err != nil {
		return err
	}
	facts, object, err := why.Gather(c.Context(), w.cluster(c.Context()), target)
	if err != nil {
		return err
	}
	d := why.Diagnose(facts, object).For("ctl" + w.again())
	if err := w.print(c, d); err != nil || d.Cause == nil {
		return err
	}
	return &exitError{code: broken}
}

func (w *whyFlags) print(c *cobra.Command, d why.Diagnosis) error {
	if w.output == "" {
		d.Print(c.OutOrStdout())
		return nil
	}
	return printer.JSON(c.OutOrStdout(), d)
}

// again is the flags that lead a command to the same cluster.
func (s *session) again() (flags string) {
	if s.kubeconfig != "" {
		flags += " --kubeconfig " + s.kubeconfig
	}
	if s.context != "" {
		flags += " --context " + s.context
	}
	return flags
}

// cluster is this session as a place to gather facts.
func (s *session) cluster(ctx context.Context) why.Cluster {
	x, _ := s.contextNamed(s.context) // without a kubeconfig there is still a default
	start := "start"
	if x.Name != "" && x.Name != cluster.DefaultName {
		start += " --name " + x.Name
	}
	own, err := cluster.Load(cmp.Or(x.Name, cluster.DefaultName))
	mend := map[string]string{}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second) // what is busy with a node's removal, or stopped, is not waited for
	defer cancel()
	if is, err := parts.Ask(ctx, own.Control(), parts.Request{}); err == nil {
		for part, runs := range is.Runs {
			node, isNode := strings.CutPrefix(part, "node/")
			if isNode && is.Cut[part] {
				mend[part] = strings.Replace(start, "start", "node heal "+node, 1)
			} else if isNode && !runs {
				mend[part] = strings.Replace(start, "start", "node start "+node, 1)
			}
		}
	}
	return why.Cluster{Service: s, Parts: err == nil && own.Sim, Mend: mend, Home: cmp.Or(x.Namespace, "default"), Start: start,
		Listen: func(ctx context.Context, t api.Target, params url.Values) ([]byte, error) {
			var answer bytes.Buffer
			err := s.listen(ctx, t, params, &answer)
			return answer.Bytes(), err
		}}
}
