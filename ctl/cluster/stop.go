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

// Down removes a cluster with everything that up has made.
func Down(name, kubeconfig string, out io.Writer) error {
	c, err := Load(name)
	if err != nil && (errors.Is(err, ErrNone) || c.Root == "") {
		return err
	}
	broken := err != nil // cluster.json is unreadable: all that can be done is to sweep
	if !broken && !c.Sim {
		if err := checkMachine(); err == nil && c.supervisor() == 0 {
			if c.Bin, err = programs(); err != nil {
				return err
			}
			if err := errors.Join(c.mkdirs(), c.save(), c.spawn()); err != nil {
				fmt.Fprintln(out, "the cluster's own end fails, sweeping instead:", err)
			}
		}
	}
	if err := c.signal(removeSignal, stopPatience); err != nil {
		return err
	}
	if err := c.sweep(); err != nil {
		return err
	}
	if kubeconfig == "" {
		kubeconfig = userKubeconfig()
	}
	if err := pki.RemoveContext(kubeconfig, name); err != nil {
		return err
	}
	if err := giveToCaller(kubeconfig); err != nil && !broken {
		return err
	}
	fmt.Fprintf(out, "cluster %q is gone\n", name)
	return nil
}

// confirm asks a person; anything but yes is no.
func confirm(question string, in io.Reader, out io.Writer) bool {
	fmt.Fprintf(out, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(in).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}
