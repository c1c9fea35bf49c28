package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"

	"optimist/ctl/parts"
	"optimist/ctl/printer"
	"optimist/internal/api"
)

// nodeVerbs are what can be done to nodes, and what is said when it is done.
var nodeVerbs = []struct{ verb, args, short, done string }{
	{"list", "", "List the nodes, with the state of agent and link", ""},
	{parts.Add, " [NAME]", "Add a node (by default n1, n2 …, whichever is free) and wait until it is ready", "added"},
	{parts.Stop, " NAME", "End a node's agent, as if it had crashed: its containers go on", "stopped"},
	{parts.Start, " NAME", "Start its agent again", "started"},
	{parts.Cut, " NAME", "Pull a node's cable: agent and pods reach no other node and no API server, nor those them", "cut off"},
	{parts.Heal, " NAME", "Plug it in again", "healed"},
	{parts.Remove, " NAME", "Remove a node and end its pods; controllers make new ones elsewhere", "removed"},
}

func nodeCommand() *cobra.Command {
	parent := &cobra.Command{Use: "node", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }, Short: "Add nodes; lose, cut off and mend them on purpose",
		Example: "  sudo ctl up --nodes 3\n  sudo ctl node cut n2\n  ctl get nodes,pods -o wide -w\n  sudo ctl node heal n2"}
	for _, v := range nodeVerbs {
		cmd := &cobra.Command{Use: v.verb + v.args, Short: v.short, Args: wants(strings.Count(v.args, " NAME"), strings.Count(v.args, "NAME"))}
		name := nameFlag(cmd)
		cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
			if c, err := Load(*name); err == nil && len(args) == 0 && strings.HasPrefix(v.args, " NAME") {
				names = c.Nodes
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		}
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			c, err := Load(*name)
			if err != nil {
				return err
			}
			r := parts.Request{Verb: v.verb, Part: "node/" + strings.TrimPrefix(strings.Join(args, ""), "node/")}
			for i := 1; r.Part == "node/"; i++ { // the first free name
				if one := "n" + strconv.Itoa(i); !slices.Contains(c.Nodes, one) {
					r.Part += one
				}
			}
			return c.node(cmd, r, v.done)
		}
		parent.AddCommand(cmd)
	}
	return parent
}

// node has the supervisor, or the simulation, do something with a node, and does what is left to do with its objects.
func (c Config) node(cmd *cobra.Command, r parts.Request, done string) error {
	switch {
	case c.supervisor() == 0:
		return fmt.Errorf("cluster %q does not run (ctl start --name %s)", c.Name, c.Name)
	case c.Sim && (r.Verb == parts.Add || r.Verb == parts.Remove):
		return fmt.Errorf("cluster %q is simulated: its nodes come with ctl up --sim --nodes N, and can be stopped, started, cut and healed", c.Name)
	case done == "":
		r = parts.Request{}
	}
	name := strings.TrimPrefix(r.Part, "node/")
	svc, err := c.client()
	if err != nil {
		return err
	}
	defer svc.Close()
	if r.Verb == parts.Add { // one that has joined from elsewhere shall get no twin
		if err := c.allows(r.Verb, name); err != nil {
			return err
		}
		if _, err := api.Nodes.Get(cmd.Context(), svc, api.Key{Name: name}); err == nil {
			return fmt.Errorf("%s is there already", r.Part)
		} else if !apierrors.IsNotFound(err) {
			return err
		}
	}
	reply, err := parts.Ask(cmd.Context(), c.Control(), r)
	if cmd.Context().Err() != nil && r.Verb != "" { // which is not said otherwise
		after := map[bool]string{true: ", then ctl delete node " + name}[r.Verb == parts.Remove]
		fmt.Fprintf(cmd.ErrOrStderr(), "cluster %q goes on with it without you: see ctl node list --name %s%s\n", c.Name, c.Name, after)
	}
	if err != nil {
		return err
	}
	switch r.Verb {
	case "":
		return c.listNodes(cmd.OutOrStdout(), reply)
	case parts.Add:
		c.Nodes, c.Members = []string{name}, nil
		err = c.awaitReady(cmd.Context(), time.Now(), time.Minute, io.Discard)
	case parts.Remove:
		err = deleteNode(cmd.Context(), svc, name)
	}
	if err != nil {
		return fmt.Errorf("%s is %s, but %w", r.Part, done, err)
	}
	fmt.Fprintln(cmd.OutOrStdout(), r.Part, done)
	return nil
}

// deleteNode removes the Node object, then its pods, which have ended: nobody needs to wait for the garbage collector to see that.
func deleteNode(ctx context.Context, svc api.Service, node string) error {
	if err := api.Nodes.Delete(ctx, svc, api.Key{Name: node}, api.Options{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("the Node object is still there (ctl delete node %s): %w", node, err)
	}
	pods, err := api.Pods.List(ctx, svc, "", api.ListOptions{Fields: fields.OneTermEqualSelector("spec.nodeName", node)})
	for _, p := range pods {
		if e := api.Pods.Delete(ctx, svc, api.KeyOf(p), api.Options{Grace: new(int64)}); !apierrors.IsNotFound(e) {
			err = errors.Join(err, e)
		}
	}
	return err
}

func (c Config) listNodes(out io.Writer, r parts.Reply) error {
	c, err := Load(c.Name) // nodes come and go
	var rows [][]any
	for _, part := range slices.Sorted(maps.Keys(r.Runs)) {
		if node, ok := strings.CutPrefix(part, "node/"); ok {
			row := []any{node, "stopped", "up", "-"}
			if r.Runs[part] {
				row[1] = "runs"
			}
			if r.Cut[part] {
				row[2] = "cut"
			}
			if at := c.Members[node].Address; at.IsValid() {
				row[3] = at.String()
			}
			rows = append(rows, row)
		}
	}
	return errors.Join(err, printer.Plain(out, false, rows, "Name", "Agent", "Link", "Address"))
}
