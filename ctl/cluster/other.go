//go:build !linux

package cluster

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
)

// Containers are a thing of Linux; elsewhere a cluster is simulated.
var errLinux = errors.New("real containers need Linux; this machine can run a simulated cluster: ctl up --sim")

func (c Config) supervise(*slog.Logger) error { return errLinux }
func (c Config) leftovers() []int             { return nil }
func routes() []netip.Prefix                  { return nil }
func (running) alive() bool                   { return false }
func checkMachine() error                     { return errLinux }

func (c Config) sweep() error {
	if err := os.RemoveAll(c.Root); err != nil {
		return err
	}
	_ = os.Remove(filepath.Dir(c.Root))
	return nil
}
