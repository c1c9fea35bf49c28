package main

import (
	"fmt"
	"os"
	"path/filepath"

	"optimist/agent/network"
	"optimist/agent/proxy"
	"optimist/agent/runtime"
	"optimist/agent/runtime/containerd"
)

// real binds containerd and the kernel's network. What bears a name on the machine bears the cluster's and the node's.
func (f *flags) real(name string, n proxy.Net) (runtime.Runtime, network.Network, proxy.Table, error) {
	logger := f.logger
	if logger == "" {
		own, err := os.Executable()
		if err != nil {
			return nil, nil, nil, err
		}
		logger = filepath.Join(filepath.Dir(own), "logger")
	}
	if err := os.MkdirAll(f.root, 0o755); err != nil {
		return nil, nil, nil, fmt.Errorf("--root: %w", err)
	}
	id := "optimist-" + f.cluster + "-" + name
	r, err := containerd.New(containerd.Config{Socket: f.socket, Namespace: id, Root: f.run, LoggerPath: logger, CgroupRoot: "/" + id})
	return r, &network.Native{}, proxy.NewNFT(f.cluster, name, n), err
}
