//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"optimist/e2e/real"
	"optimist/internal/client"
)

// server is an API server: a process of its own with a file on disk, at a free port of 127.0.0.1. We are its client.
type server struct {
	dir string
	cmd *exec.Cmd
}

// startServer puts the server's folder below the checkout, so that it is on a disk and not on a tmpfs.
func startServer(ctx context.Context) (*server, error) {
	dir, err := filepath.Abs(real.Top)
	if err == nil {
		dir, err = os.MkdirTemp(filepath.Join(dir, "bin"), "bench-")
	}
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, cmd: exec.Command(filepath.Join(real.Top, "bin", "apiserver"),
		"--data", filepath.Join(dir, "store.db"), "--pki", filepath.Join(dir, "pki"), "--listen", "127.0.0.1:0")}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	c, err := s.client()
	for end := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(end) && ctx.Err() == nil; c, err = s.client() {
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return nil, fmt.Errorf("the API server does not answer: %w", err)
	}
	return s, c.Close()
}

// client opens one more connection.
func (s *server) client() (*client.Client, error) {
	conf, err := client.Load(filepath.Join(s.dir, "pki", "admin.kubeconfig"), "")
	if err != nil {
		return nil, err
	}
	c, err := client.New(conf)
	if err != nil {
		return nil, err
	}
	_, err = c.Now(context.Background())
	return c, err
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait() // a server that was told to end has no news
	os.RemoveAll(s.dir)
}
