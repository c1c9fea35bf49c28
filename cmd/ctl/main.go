// Command ctl controls an Optimist cluster, and starts one.
package main

import (
	"fmt"
	"log/slog"
	"os"

	"optimist/agent/network"
	"optimist/agent/runtime/sim"
	"optimist/ctl"
	"optimist/ctl/cluster"
	"optimist/ctl/inprocess"
)

func main() {
	controllers, err := inprocess.Controllers()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ctl:", err)
		os.Exit(1)
	}
	os.Exit(ctl.Main(cluster.Commands(simulate, controllers)...))
}

// simulate runs a simulated cluster in this process: `ctl up --sim` leaves it behind.
func simulate(c cluster.Config, _ *slog.Logger) error {
	s := inprocess.Simulation{Name: c.Name, Root: c.Root, Control: c.Control(), Listen: c.Listen, ClusterCIDR: c.ClusterCIDR, ServiceCIDR: c.ServiceCIDR}
	for _, name := range c.Nodes {
		s.Nodes = append(s.Nodes, inprocess.Node{Name: name, Runtime: sim.New(), Network: &network.Loopback{}})
	}
	return s.Run()
}
