package ctl

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
)

type exec struct {
	*session
	container  string
	stdin, tty bool
	quiet      bool
}

func (e *exec) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&e.container, "container", "c", "", "The container; by default the pod's first")
	f.BoolVarP(&e.stdin, "stdin", "i", false, "Pass standard input on")
	f.BoolVarP(&e.tty, "tty", "t", false, "Standard input is a terminal")
	f.BoolVarP(&e.quiet, "quiet", "q", false, "Print only what the process prints")
}

func execCommand(s *session) *cobra.Command {
	e := &exec{session: s}
	c := &cobra.Command{
		Use:               "exec (POD | TYPE/NAME) [-c CONTAINER] [-it] -- COMMAND [ARG…]",
		Short:             "Run a command in a container",
		Example:           "  ctl exec web-1 -- date\n  ctl exec -it deploy/web -- sh",
		ValidArgsFunction: s.completeNames(api.PodKind),
		RunE: func(c *cobra.Command, args []string) error {
			dash := c.ArgsLenAtDash()
			switch {
			case len(args) == 0 || dash == 0:
				return usage(c, "pod, type/name must be specified")
			case dash < 0 && len(args) > 1:
				return usage(c, "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead")
			case len(args) < 2:
				return usage(c, "you must specify at least one command for the container")
			}
			return e.run(c, args[:1], "exec", args[1:])
		},
	}
	e.flags(c)
	return c
}

func attachCommand(s *session) *cobra.Command {
	e := &exec{session: s}
	c := &cobra.Command{
		Use:               "attach (POD | TYPE/NAME) [-c CONTAINER] [-it]",
		Short:             "Join the process that a container runs",
		Example:           "  ctl attach web-1\n  ctl attach -it shell",
		ValidArgsFunction: s.completeNames(api.PodKind),
		Args:              exactly(1, "POD or TYPE/NAME"),
		RunE:              func(c *cobra.Command, args []string) error { return e.run(c, args, "attach", nil) },
	}
	e.flags(c)
	return c
}

// run streams between this terminal and a container until the process there ends.
func (e *exec) run(c *cobra.Command, args []string, sub string, command []string) error {
	service, err := e.connect()
	if err != nil {
		return err
	}
	pod, err := e.onePod(c, service, args)
	if err != nil {
		return err
	}
	container, err := chooseContainer(pod, e.container, func(said string) {
		if !e.quiet {
			fmt.Fprintln(c.ErrOrStderr(), said)
		}
	})
	if err != nil {
		return err
	}
	terminal := terminalOf(c.InOrStdin())
	if e.tty && (!e.stdin || terminal == nil) {
		e.tty = false
		fmt.Fprintln(c.ErrOrStderr(), "Unable to use a TTY - input is not a terminal or the right kind of file")
	}
	target := api.Target{Kind: api.PodKind, Key: api.KeyOf(pod), Sub: sub}
	stream, err := service.Connect(c.Context(), target, e.params(container, command))
	if err != nil {
		return err
	}
	if !e.tty {
		terminal = nil
	}
	return e.converse(c, stream, terminal)
}

func (e *exec) params(container string, command []string) url.Values {
	p := url.Values{"container": {container}, "stdout": {"true"}}
	if e.stdin {
		p.Set("stdin", "true")
	}
	if e.tty {
		p.Set("tty", "true") // a terminal has one output only
	} else {
		p.Set("stderr", "true")
	}
	for _, word := range command {
		p.Add("command", word)
	}
	return p
}

// converse sends input (and, for a terminal, its sizes) while it prints output. The goroutine that reads standard input cannot be stopped; it
// ends with the process.
func (e *exec) converse(c *cobra.Command, stream api.Stream, t *terminal) error {
	s := &sender{stream: stream}
	if t != nil {
		restore, err := t.raw()
		if err != nil {
			return err
		}
		defer restore()
		go t.sizes(c.Context(), func(size []byte) { _ = s.send(api.ChannelResize, size) })
	}
	if e.stdin {
		go func() { _ = s.pump(c.InOrStdin(), nil) }()
	} else if err := s.close(); err != nil {
		return err
	}
	return drain(stream, c.OutOrStdout(), c.ErrOrStderr())
}

// chooseContainer returns the container to use, and says so when it had to choose among several.
func chooseContainer(pod *corev1.Pod, asked string, say func(string)) (string, error) {
	names := containerNames(pod)
	if asked != "" {
		for _, n := range names {
			if n == asked {
				return asked, nil
			}
		}
		return "", fmt.Errorf("container %s not found in pod %s: it has %v", asked, pod.Name, names)
	}
	if name := pod.Annotations["kubectl.kubernetes.io/default-container"]; name != "" {
		return name, nil
	}
	if len(pod.Spec.Containers) == 0 {
		return "", errors.New("the pod has no containers")
	}
	first := pod.Spec.Containers[0].Name
	if len(names) > 1 {
		say(fmt.Sprintf("Defaulted container %q out of: %s", first, containerList(pod)))
	}
	return first, nil
}
