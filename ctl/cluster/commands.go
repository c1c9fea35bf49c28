package cluster

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
)

// Simulate runs a whole simulated cluster in this process until it is told to end. cmd/ctl hands it in.
type Simulate func(c Config, log *slog.Logger) error

// Commands are ctl's commands for the life of a cluster. controllers are the names that need certificates.
func Commands(simulate Simulate, controllers []string) []*cobra.Command {
	return []*cobra.Command{upCommand(controllers), startCommand(controllers), stopCommand(), downCommand(), partCommand(), nodeCommand(), joinCommand(), resetCommand(), certsCommand(controllers), superviseCommand(simulate)}
}

// command is one for the cluster that --name says.
func command(use, short string) (*cobra.Command, *string) {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs}
	return cmd, nameFlag(cmd)
}

// wants is an argument check that says what was expected. Nothing can be named by an empty argument.
func wants(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most || slices.Contains(args, "") {
			return fmt.Errorf("want: %s", cmd.UseLine())
		}
		return nil
	}
}

func nameFlag(cmd *cobra.Command) *string {
	name := cmd.Flags().String("name", DefaultName, "the cluster's name")
	_ = cmd.RegisterFlagCompletionFunc("name", func(*cobra.Command, []string, string) (names []string, _ cobra.ShellCompDirective) {
		for _, c := range List() {
			names = append(names, c.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
	return name
}

// kubeconfigOf is the file to enter a cluster in: what ctl's own --kubeconfig flag says, else the one that kubectl and ctl read.
func kubeconfigOf(cmd *cobra.Command) string {
	if f := cmd.Flag("kubeconfig"); f != nil && f.Value.String() != "" {
		return f.Value.String()
	}
	if files := filepath.SplitList(os.Getenv("KUBECONFIG")); len(files) > 0 {
		return files[0]
	}
	home, _, _ := caller()
	return filepath.Join(home, ".kube", "config")
}

func upCommand(controllers []string) *cobra.Command {
	var w Wish
	cmd, name := command("up", "Start a cluster on this machine and wait until it is ready")
	cmd.Example = `  sudo ctl up                      real containers
  sudo ctl up --nodes 3            three nodes on this machine
  ctl up --sim --nodes 3           simulated ones: no root, any system
  sudo ctl up --name second        beside the first`
	cmd.Flags().BoolVar(&w.Sim, "sim", false, "simulate the containers: everything in one process, without root")
	cmd.Flags().IntVar(&w.Nodes, "nodes", 1, "how many nodes; several real ones live in network namespaces of their own")
	cmd.Flags().IntVar(&w.Port, "port", 0, "the API server's port on 127.0.0.1 (default the first free one from 6443)")
	cmd.Flags().StringVar(&w.ClusterCIDR, "cluster-cidr", "", "the pods' address range (default a free one like 10.244.0.0/16)")
	cmd.Flags().StringVar(&w.ServiceCIDR, "service-cidr", "", "the Services' address range (default a free one like 10.96.0.0/16)")
	w.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		w.Name, w.Kubeconfig, w.controllers = *name, kubeconfigOf(cmd), controllers
		if w.Nodes < 1 || w.Nodes > 1000 || w.Nodes > 20 && !w.Sim {
			return fmt.Errorf("--nodes %d: want 1 to 20, or with --sim up to 1000 simulated ones: each real node is a process of its own", w.Nodes)
		}
		return Up(cmd.Context(), w, cmd.OutOrStdout())
	}
	return cmd
}

func startCommand(controllers []string) *cobra.Command {
	cmd, name := command("start", "Start a stopped cluster, or adopt one whose supervisor died")
	var w Wish
	w.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		w.Name, w.Kubeconfig, w.controllers = *name, kubeconfigOf(cmd), controllers
		return Start(cmd.Context(), w, cmd.OutOrStdout())
	}
	return cmd
}

func stopCommand() *cobra.Command {
	cmd, name := command("stop", "Stop a cluster and keep all of its data")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return Stop(*name, cmd.OutOrStdout()) }
	return cmd
}

func downCommand() *cobra.Command {
	cmd, name := command("down", "Remove a cluster and everything that belongs to it")
	yes := cmd.Flags().BoolP("yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := confirm(cmd, *yes, fmt.Sprintf("Remove cluster %q with all its objects, containers and data?", *name)); err != nil {
			return err
		}
		return Down(*name, kubeconfigOf(cmd), cmd.OutOrStdout())
	}
	return cmd
}

// superviseCommand is what up and start leave running.
func superviseCommand(simulate Simulate) *cobra.Command {
	cmd, name := command("supervise", "Watch over a cluster's processes (started by up and start)")
	cmd.Hidden = true
	cmd.RunE = func(*cobra.Command, []string) error {
		c, err := Load(*name)
		if err != nil {
			return err
		}
		log := slog.New(slog.NewTextHandler(os.Stderr, nil))
		if err := c.mkdirs(); err != nil { // a reboot may have taken one, and systemd may have started us
			return err
		}
		if !c.Sim {
			return c.supervise(log)
		}
		lock, err := c.lock()
		if err != nil {
			return err
		}
		defer lock.Close()
		return simulate(c, log)
	}
	return cmd
}
