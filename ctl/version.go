package ctl

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"optimist/ctl/kubeconfig"
)

// kubernetesVersion is the version of Kubernetes whose objects and semantics these are.
const kubernetesVersion = "v1.37"

func versionCommand(s *session) *cobra.Command {
	clientOnly := false
	c := &cobra.Command{
		Use:   "version",
		Short: "Print this program's version, and whether the server can be reached",
		Args:  exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			fmt.Fprintf(c.OutOrStdout(), "Client Version: %s\nKubernetes API: %s\n", ownVersion(), kubernetesVersion)
			if clientOnly {
				return nil
			}
			return s.serverVersion(c)
		},
	}
	c.Flags().BoolVar(&clientOnly, "client", false, "Do not ask the server")
	return c
}

func (s *session) serverVersion(c *cobra.Command) error {
	service, err := s.connect()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), 5*time.Second)
	defer cancel()
	revision, err := service.Now(ctx)
	if err != nil {
		return err
	}
	where := "in this process"
	if config, err := kubeconfig.Read(s.file()); err == nil && config.Server(s.context) != "" {
		where = config.Server(s.context)
	}
	fmt.Fprintf(c.OutOrStdout(), "Server: %s (reachable, at revision %d)\n", where, revision)
	return nil
}

// ownVersion is the module's version, or the commit that a development build was made from.
func ownVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}
