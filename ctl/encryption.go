package ctl

import (
	"github.com/spf13/cobra"

	"optimist/internal/api"
)

// encryptionCommand is about the keys with which the API server encrypts Secrets before it stores them.
func encryptionCommand(s *session) *cobra.Command {
	rotate := &cobra.Command{Use: "rotate", Short: "Make a new key, and encrypt all Secrets with it", Args: exactly(0, "no arguments"), RunE: func(c *cobra.Command, _ []string) error {
		target := api.Target{Kind: api.ComponentStatusKind, Key: api.Key{Name: "apiserver"}, Sub: "encryption"}
		return s.listen(c.Context(), target, nil, c.OutOrStdout())
	}}
	return parent("encryption", "Change the key with which Secrets are stored", rotate)
}
