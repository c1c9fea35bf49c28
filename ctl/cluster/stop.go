package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"optimist/internal/pki"
)

// stopPatience is how long a supervisor may take to end: pods have their grace.
const stopPatience = 2 * time.Minute

const patience = 10 * time.Second // from SIGTERM to SIGKILL

// Stop ends all processes and containers of a cluster; everything on disk stays.
func Stop(name string, out io.Writer) error {
	c, err := Load(name)
	if err != nil {
		return err
	}
	if c.supervisor() == 0 && (c.Sim || len(c.leftovers()) == 0) {
		fmt.Fprintf(out, "cluster %q does not run; start it with ctl start --name %s\n", name, name)
		return nil
	}
	if err := c.end(syscall.SIGTERM); err != nil {
		return err
	}
	fmt.Fprintf(out, "cluster %q is stopped; its data stays in %s\n", name, c.Root)
	return nil
}

// end has the supervisor end the cluster in order. One that was killed, perhaps only just now, is replaced: a new one adopts what it left.
func (c Config) end(sig syscall.Signal) error {
	if c.hasUnit() {
		return systemctl("stop", c.unit())
	}
	if c.Sim {
		return c.signal(sig, stopPatience)
	}
	for range 3 {
		if c.supervisor() == 0 {
			if err := c.spawn(); err != nil {
				return err
			}
			until(patience, func() bool { return accepts("unix", c.socket()) || c.failure("containerd") != nil }) // without it no container can be removed
		}
		if err := c.signal(sig, stopPatience); err != nil {
			return err
		}
		if len(c.recorded()) == 0 { // the end of each process was noted
			return nil
		}
	}
	return fmt.Errorf("the supervisor of cluster %q dies before it has ended; see %s", c.Name, c.logFile("supervisor"))
}

// remove ends and removes what there is here of a cluster or of a node that has joined one. It needs nothing of it to be alive, or whole.
func remove(name string, out io.Writer) (Config, error) {
	c, err := Load(name)
	switch {
	case errors.Is(err, ErrNone) && (c.begun() || c.hasUnit() || len(c.leftovers()) > 0): // whoever made it was killed early
		c = c.recovered()
	case errors.Is(err, ErrNone) || c.Root == "":
		return c, err
	case err != nil:
		fmt.Fprintf(out, "%v\nremoving what can be found\n", err)
		c = c.recovered()
	}
	if err := c.uninstall(); err != nil {
		fmt.Fprintln(out, err)
	}
	c.endOrderly(out)
	if err := c.sweep(); err != nil {
		return c, err
	}
	if c.Server != "" {
		fmt.Fprintf(out, "nothing of cluster %q is left here; the Node stays in it until someone there says: ctl delete node %s\n", c.Cluster, c.Nodes[0])
		return c, nil
	}
	fmt.Fprintf(out, "cluster %q is gone\n", name)
	return c, nil
}

// Down removes a cluster with everything that up has made.
func Down(name, kubeconfig string, out io.Writer) error {
	c, err := remove(name, out)
	if err != nil || c.Server != "" {
		return err
	}
	if err := pki.RemoveContext(kubeconfig, name); err != nil {
		return err
	}
	return giveToCaller(kubeconfig, false)
}

// endOrderly has the supervisor end processes and pods and take the network away, as far as this machine still can.
func (c Config) endOrderly(out io.Writer) {
	if c.Sim {
		if err := c.end(syscall.SIGTERM); err != nil { // it has nothing but its folder
			fmt.Fprintln(out, err)
		}
		return
	}
	err := checkMachine()
	if err == nil {
		c.Bin, err = programs()
	}
	if err == nil {
		err = errors.Join(c.mkdirs(), c.create(), c.end(removeSignal))
	}
	if err != nil {
		fmt.Fprintln(out, "the cluster's own end fails, sweeping instead:", err)
	}
}

// confirm asks a person, unless they have said yes already; anything but yes is no.
func confirm(cmd *cobra.Command, yes bool, question string) error {
	if yes {
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", question)
	answer, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was removed (answer y, or say --yes)")
	}
	return nil
}
