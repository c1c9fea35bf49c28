package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	local "optimist/ctl/cluster"
	"optimist/ctl/doctor"
	"optimist/internal/api"
)

// doctorCommand examines this machine and the cluster. Its hidden children are what runs in the pods that it starts.
func doctorCommand(s *session) *cobra.Command {
	var machine, cluster bool
	c := &cobra.Command{Use: "doctor", Short: "Examine this machine and the cluster's network, and say what to mend",
		Args: exactly(0, "no arguments"),
		Example: `  sudo ctl doctor --machine        before ctl up or ctl join
  ctl doctor --cluster             every pair of nodes: pods, Services, DNS, packets of full size`,
		RunE: func(c *cobra.Command, _ []string) error {
			return s.examine(c, machine || !cluster, cluster || !machine)
		},
	}
	c.Flags().BoolVar(&machine, "machine", false, "Only this machine")
	c.Flags().BoolVar(&cluster, "cluster", false, "Only the current context's cluster")
	serve := &cobra.Command{Use: "serve", Hidden: true, Args: exactly(0, "no arguments"), RunE: func(c *cobra.Command, _ []string) error { return doctor.Serve(c.Context()) }}
	ask := &cobra.Command{Use: "ask QUESTIONS", Hidden: true, Args: exactly(1, "questions in JSON"), RunE: func(c *cobra.Command, args []string) error {
		var q doctor.Questions
		if err := json.Unmarshal([]byte(args[0]), &q); err != nil {
			return err
		}
		return json.NewEncoder(c.OutOrStdout()).Encode(doctor.Ask(c.Context(), q))
	}}
	c.AddCommand(serve, ask)
	return c
}

func (s *session) examine(c *cobra.Command, machine, cluster bool) error {
	out, bad := c.OutOrStdout(), 0
	reached := s.connect()
	if cluster && reached == nil {
		_, reached = s.Now(c.Context())
	}
	if machine {
		pods, here := "10.244.0.0/16", false // what ctl up takes first
		for _, is := range local.List() {
			if !is.Sim {
				pods, here = is.ClusterCIDR.String(), true
			}
		}
		m, err := doctor.Here(pods, here)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "This machine")
		bad += doctor.Print(out, m.Check())
	}
	switch {
	case cluster && reached == nil:
		fmt.Fprintln(out, "The cluster")
		d := doctor.Cluster{Service: s, Exec: s.execute, Load: func(ctx context.Context, node string, image io.Reader) error {
			return s.send(ctx, node, image, io.Discard)
		}, Say: func(format string, args ...any) {
			fmt.Fprintf(c.ErrOrStderr(), "   "+format+" …\n", args...)
		}}
		findings, answers, err := d.Examine(c.Context())
		if bad += doctor.Print(out, findings); err != nil {
			return err
		}
		if err := doctor.Matrix(out, answers); err != nil {
			return err
		}
	case cluster && machine:
		fmt.Fprintf(out, "No cluster to examine: %v\n", reached)
	case cluster:
		return reached
	}
	if bad > 0 {
		return &exitError{code: 1, text: fmt.Sprintf("%d things to mend", bad)}
	}
	return nil
}

// execute runs a command in a pod's only container and returns what it printed.
func (s *session) execute(ctx context.Context, pod api.Key, command ...string) ([]byte, error) {
	var out bytes.Buffer
	err := s.listen(ctx, api.Target{Kind: api.PodKind, Key: pod, Sub: "exec"}, url.Values{"command": command, "stdout": {"true"}, "stderr": {"true"}}, &out)
	return out.Bytes(), err
}
