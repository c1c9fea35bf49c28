package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"optimist/internal/pki"
)

// stopPatience is how long a supervisor may take to end: pods have their grace.
const stopPatience = 2 * time.Minute

// Stop ends all processes and containers of a cluster; everything on disk stays.
func Stop(name string, out io.Writer) error {
	c, err := Load(name)
	if err != nil {
		return err
	}
	if c.supervisor() == 0 {
		if !c.Sim && len(c.leftovers()) > 0 {
			if err := c.spawn(); err != nil { // it adopts what its predecessor left, and can so end it in order
				return err
			}
		} else {
			fmt.Fprintf(out, "cluster %q does not run; start it with ctl start --name %s\n", name, name)
			return nil
		}
	}
	if err := c.signal(syscall.SIGTERM, stopPatience); err != nil {
		return err
	}
	fmt.Fprintf(out, "cluster %q is stopped; its data stays in %s\n", name, c.Root)
	return nil
}

// Down removes a cluster with everything that up has made. It needs nothing of it to be alive, or whole.
func Down(name, kubeconfig string, out io.Writer) error {
	c, err := Load(name)
	switch {
	case errors.Is(err, ErrNone) && c.begun(): // whoever made it was killed early
		c = c.recovered()
	case errors.Is(err, ErrNone) || c.Root == "":
		return err
	case err != nil:
		fmt.Fprintf(out, "%v\nremoving what can be found\n", err)
		c = c.recovered()
	}
	c.endOrderly(out)
	if err := c.sweep(); err != nil {
		return err
	}
	fmt.Fprintf(out, "cluster %q is gone\n", name)
	if kubeconfig == "" {
		kubeconfig = userKubeconfig()
	}
	if err := pki.RemoveContext(kubeconfig, name); err != nil {
		return err
	}
	return giveToCaller(kubeconfig, false)
}

// endOrderly has the supervisor, a new one if need be, end processes and pods and take the network away.
func (c Config) endOrderly(out io.Writer) {
	err := error(nil)
	if c.supervisor() == 0 && !c.Sim && checkMachine() == nil {
		if c.Bin, err = programs(); err == nil {
			err = errors.Join(c.mkdirs(), c.create(), c.spawn())
		}
	}
	if err == nil {
		err = c.signal(pickSignal(c.Sim), stopPatience)
	}
	if err != nil {
		fmt.Fprintln(out, "the cluster's own end fails, sweeping instead:", err)
	}
}

// pickSignal is how to tell a supervisor that nothing shall stay. A simulated cluster has nothing but its folder.
func pickSignal(sim bool) syscall.Signal {
	if sim {
		return syscall.SIGTERM
	}
	return removeSignal
}

// confirm asks a person; anything but yes is no.
func confirm(question string, in io.Reader, out io.Writer) bool {
	fmt.Fprintf(out, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(in).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}
