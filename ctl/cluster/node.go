package cluster

import (
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

// nodeVerbs are what can be done to a node, and what is said when it is done.
var nodeVerbs = []struct{ verb, short, done string }{
	{parts.Add, "Add a node (default name: the next free n1, n2 …) and wait until it is ready", "added"},
	{parts.Stop, "End a node's agent, as if it had crashed: its containers go on", "stopped"},
	{parts.Start, "Start its agent again", "started"},
	{parts.Cut, "Pull a node's cable: agent and pods reach no other node and no API server, nor those them", "cut off"},
	{parts.Heal, "Plug it in again", "healed"},
	{parts.Remove, "Remove a node and end its pods; controllers make new ones elsewhere", "removed"},
}

func nodeCommand() *cobra.Command {
	parent := &cobra.Command{Use: "node", Short: "Add nodes; lose, cut off and mend them on purpose",
		Example: "  sudo ctl up --nodes 3\n  sudo ctl node cut n2\n  ctl get nodes,pods -o wide -w\n  sudo ctl node heal n2"}
	list := &cobra.Command{Use: "list", Short: "List the nodes, with the state of agent and link", Args: cobra.NoArgs}
	name := nameFlag(list)
	list.RunE = func(cmd *cobra.Command, _ []string) error { return nodeDo(cmd, *name, parts.Request{}, "") }
	parent.AddCommand(list)
	for _, v := range nodeVerbs {
		cmd := &cobra.Command{Use: v.verb + " NAME", Short: v.short, Args: cobra.ExactArgs(1)}
		name := nameFlag(cmd)
		if v.verb == parts.Add {
			cmd.Use, cmd.Args = v.verb+" [NAME]", cobra.MaximumNArgs(1)
		} else {
			cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
				c, _ := Load(*name)
				return c.Nodes, cobra.ShellCompDirectiveNoFileComp
			}
		}
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			r := parts.Request{Verb: v.verb}
			if len(args) > 0 {
				r.Part = "node/" + strings.TrimPrefix(args[0], "node/")
			}
			return nodeDo(cmd, *name, r, v.done)
		}
		parent.AddCommand(cmd)
	}
	return parent
}

func nodeDo(cmd *cobra.Command, name string, r parts.Request, done string) error {
	c, err := Load(name)
	switch {
	case err != nil:
		return err
	case c.supervisor() == 0:
		return fmt.Errorf("cluster %q does not run (ctl start --name %s)", c.Name, c.Name)
	case c.Sim && (r.Verb == parts.Add || r.Verb == parts.Remove):
		return fmt.Errorf("cluster %q is simulated: its nodes come with ctl up --sim --nodes N, and can be stopped, started, cut and healed", c.Name)
	}
	for i := 1; r.Part == "" && r.Verb == parts.Add; i++ {
		if one := "n" + strconv.Itoa(i); !slices.Contains(c.Nodes, one) {
			r.Part = "node/" + one
		}
	}
	reply, err := parts.Ask(cmd.Context(), c.Control(), r)
	if err != nil {
		return err
	}
	if c, err = Load(name); err != nil {
		return err
	}
	switch r.Verb {
	case "":
		return c.listNodes(cmd.OutOrStdout(), reply)
	case parts.Add:
		c.Nodes = []string{strings.TrimPrefix(r.Part, "node/")}
		err = c.awaitReady(cmd.Context(), time.Now(), time.Minute, io.Discard)
	case parts.Remove:
		err = c.deleteNode(cmd, strings.TrimPrefix(r.Part, "node/"))
	}
	if err != nil {
		return fmt.Errorf("%s is %s, but %w", r.Part, done, err)
	}
	fmt.Fprintln(cmd.OutOrStdout(), r.Part, done)
	return nil
}

// deleteNode removes the Node object, then its pods, which have ended: nobody needs to wait for the garbage collector to see that.
func (c Config) deleteNode(cmd *cobra.Command, node string) error {
	svc, err := c.client()
	if err != nil {
		return err
	}
	defer svc.Close()
	if err = api.Nodes.Delete(cmd.Context(), svc, api.Key{Name: node}, api.Options{}); err != nil && !apierrors.IsNotFound(err) {
		return errors.Join(err, fmt.Errorf("(the Node object is still there: ctl delete node %s)", node))
	}
	pods, err := api.Pods.List(cmd.Context(), svc, "", api.ListOptions{Fields: fields.OneTermEqualSelector("spec.nodeName", node)})
	for _, p := range pods {
		if e := api.Pods.Delete(cmd.Context(), svc, api.KeyOf(p), api.Options{Grace: new(int64)}); !apierrors.IsNotFound(e) {
			err = errors.Join(err, e)
		}
	}
	return err
}

func (c Config) listNodes(out io.Writer, r parts.Reply) error {
	var rows [][]any
	for _, part := range slices.Sorted(maps.Keys(r.Runs)) {
		node, ok := strings.CutPrefix(part, "node/")
		if !ok {
			continue
		}
		agent, link, address := "stopped", "up", "-"
		if r.Runs[part] {
			agent = "runs"
		}
		if r.Cut[part] {
			link = "cut"
		}
		if at := c.Members[node].Address; at.IsValid() {
			address = at.String()
		}
		rows = append(rows, []any{node, agent, link, address})
	}
	return printer.Plain(out, false, rows, "Name", "Agent", "Link", "Address")
}
