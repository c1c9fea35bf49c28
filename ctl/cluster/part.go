package cluster

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"optimist/ctl/parts"
	"optimist/ctl/printer"
)

// Control is the socket by which the parts of a simulated cluster are stopped and started.
func (c Config) Control() string { return c.path("control.sock") }

func partCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "part (list | stop | start) [PART]",
		Short: "Stop and start a part of a simulated cluster by itself, as killing its process would",
		Example: `  ctl part list
  ctl part stop scheduler          it loses its memory and its connections; nobody starts it again
  ctl part start scheduler`,
		ValidArgs: []string{"list", parts.Stop, parts.Start},
		Args:      cobra.RangeArgs(1, 2),
	}
	name := nameFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r := parts.Request{Verb: args[0]}
		switch {
		case r.Verb == "list" && len(args) == 1:
			r.Verb = ""
		case (r.Verb == parts.Stop || r.Verb == parts.Start) && len(args) == 2:
			r.Part = args[1]
		default:
			return fmt.Errorf("want: ctl part list, ctl part stop PART or ctl part start PART")
		}
		c, err := Load(*name)
		if err != nil {
			return err
		}
		return c.part(cmd, r)
	}
	return cmd
}

func (c Config) part(cmd *cobra.Command, r parts.Request) error {
	pid, out := c.supervisor(), cmd.OutOrStdout()
	switch {
	case pid == 0:
		return fmt.Errorf("cluster %q does not run (ctl start --name %s)", c.Name, c.Name)
	case !c.Sim && r.Part != "":
		return fmt.Errorf("the parts of cluster %q are processes: end one by kill -9 PID (ctl part list --name %s), and its supervisor starts it again", c.Name, c.Name)
	}
	pids := map[string]int{}
	if c.Sim {
		now, err := parts.Ask(cmd.Context(), c.Control(), r)
		if err != nil {
			return fmt.Errorf("cluster %q: %w", c.Name, err)
		}
		for name, runs := range now.Runs {
			if pids[name] = 0; runs {
				pids[name] = pid // they share one process
			}
		}
	} else {
		pids["supervisor"] = pid
		for name, r := range c.recorded() {
			pids[name] = r.PID
		}
	}
	var rows [][]any
	for _, name := range slices.Sorted(maps.Keys(pids)) {
		row := []any{name, "runs", pids[name]}
		if pids[name] == 0 {
			row = []any{name, "stopped", "-"}
		}
		if r.Part == "" || r.Part == name {
			rows = append(rows, row)
		}
	}
	return printer.Plain(out, r.Part != "", rows, "Part", "State", "PID")
}
