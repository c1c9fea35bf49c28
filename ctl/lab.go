package ctl

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"optimist/ctl/lab"
	"optimist/internal/api"
)

func labCluster(one lab.Lab) string { return map[bool]string{true: "lab-real", false: "lab"}[one.Real] }

type labs struct {
	*session
	here, all bool
	answer    string
}

func labCommand(s *session) *cobra.Command {
	l := &labs{session: s}
	start := l.command("start", "Make a cluster, if there is none for the labs yet (lab 4: a real one, as root; else simulated), and what the lab begins with", l.start)
	start.Flags().BoolVar(&l.here, "here", false, "In the current context's cluster, whatever that is, instead of one of its own")
	check := l.command("check", "Look in the cluster which steps of the lab are done", l.check)
	check.Flags().StringVar(&l.answer, "answer", "", "Your answer to the lab's question")
	reset := l.command("reset", "Remove the lab's namespace with all that is in it", l.reset)
	reset.Flags().BoolVar(&l.all, "all", false, "Remove the cluster that the lab has made, too")
	list := &cobra.Command{Use: "list", Short: "List the labs", Args: exactly(0, "no arguments"), RunE: func(c *cobra.Command, _ []string) error {
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 3, ' ', 0)
		fmt.Fprintln(w, "LAB\tTITLE\tPAGE")
		for _, one := range lab.All() {
			fmt.Fprintf(w, "%d\t%s\t%s\n", one.Number, one.Title, one.Page)
		}
		return w.Flush()
	}}
	l.connected(check, reset)
	return parent("lab", "Learn by doing, and by breaking: the labs of docs/labs", list, start, check, reset)
}

func (l *labs) command(name, short string, do func(*cobra.Command, lab.Lab) error) *cobra.Command {
	return &cobra.Command{Use: name + " NUMBER", Short: short, Args: exactly(1, "the number of a lab (ctl lab list)"), RunE: func(c *cobra.Command, args []string) error {
		one, err := lab.Find(args[0])
		if err != nil {
			return err
		}
		return do(c, one)
	}}
}

func (l *labs) start(c *cobra.Command, one lab.Lab) error {
	if l.Service == nil && !l.here {
		if err := l.ownCluster(c, one); err != nil {
			return err
		}
	}
	if err := l.connect(); err != nil {
		return err
	}
	if err := one.Begin(c.Context(), l); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "\nLab %d: %s, in namespace %s. It is described in %s.\n\nFirst write down what you think: %s\n\nThen the page's steps; ctl lab check %d tells how far you are.\n",
		one.Number, one.Title, one.Namespace(), one.Page, one.Question, one.Number)
	return nil
}

// ownCluster makes or starts the labs' cluster and makes its context the current one: the commands on the pages mean it.
func (l *labs) ownCluster(c *cobra.Command, one lab.Lab) error {
	flags := map[string]string{"nodes": "3", "name": labCluster(one)}
	if !one.Real {
		flags["sim"] = "true"
	}
	if err := sibling(c, "up", flags); err != nil {
		return err
	}
	if x, err := l.contextNamed(""); err != nil || x.Name != labCluster(one) {
		if err := l.useContext(c, []string{labCluster(one)}); err != nil {
			return err
		}
	}
	l.context = labCluster(one)
	return nil
}

// sibling runs another of ctl's commands, one that lives in another package.
func sibling(c *cobra.Command, name string, flags map[string]string) error {
	other, _, err := c.Root().Find([]string{name})
	if err != nil {
		return err
	}
	for flag, value := range flags {
		if err := other.Flags().Set(flag, value); err != nil {
			return err
		}
	}
	other.SetContext(c.Context())
	return other.RunE(other, nil)
}

func (l *labs) check(c *cobra.Command, one lab.Lab) error {
	var log bytes.Buffer
	from := api.Target{Kind: api.ComponentStatusKind, Key: api.Key{Name: "apiserver"}, Sub: "log"}
	if one.Real {
		from.Kind, from.Key.Name = api.NodeKind, "n1"
	}
	if err := l.listen(c.Context(), from, url.Values{}, &log); err != nil {
		return err
	}
	results, err := one.Check(c.Context(), l, log.Bytes(), l.answer)
	if errors.Is(err, lab.ErrNotBegun) {
		return fmt.Errorf("lab %d: %w (ctl lab start %d)", one.Number, err, one.Number)
	}
	if err != nil {
		return err
	}
	missing := 0
	for _, r := range results {
		if r.Done {
			fmt.Fprintln(c.OutOrStdout(), " ✓", r.Text)
			continue
		}
		missing++
		fmt.Fprintf(c.OutOrStdout(), " ✗ %s\n     %s\n", r.Text, r.Hint)
	}
	if missing > 0 {
		return &exitError{code: 1, text: fmt.Sprintf("lab %d: %d of %d are still to do", one.Number, missing, len(results))}
	}
	fmt.Fprintf(c.OutOrStdout(), "lab %d is done (ctl lab reset %d clears it away)\n", one.Number, one.Number)
	return nil
}

func (l *labs) reset(c *cobra.Command, one lab.Lab) error {
	if l.all {
		return sibling(c, "down", map[string]string{"name": labCluster(one), "yes": "true"})
	}
	uid, err := one.End(c.Context(), l)
	if err == nil && uid != "" {
		t := api.Target{Kind: api.NamespaceKind, Key: api.Key{Name: one.Namespace()}}
		if err = l.gone(c.Context(), time.Minute, t, uid); errors.Is(err, errTimeout) {
			err = fmt.Errorf("namespace %s is still there: do all parts run? (ctl part list --name %s)", one.Namespace(), labCluster(one))
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "lab %d is cleared away\n", one.Number)
	return nil
}
