package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"optimist/internal/pki"
)

// credentials is whom a cluster has certificates for. A simulated one needs none for those who live in its own process.
func (c Config) credentials() pki.Bootstrap {
	host, _, _ := net.SplitHostPort(c.Listen)
	b := pki.Bootstrap{Cluster: c.Name, Server: c.Listen, Hosts: append(c.hosts(), host)}
	if !c.Sim {
		b.Nodes, b.Controllers = c.Nodes, c.controllers
	}
	if c.Subnet.IsValid() {
		b.Hosts = append(b.Hosts, c.gateway().String())
	}
	if c.netns(c.Nodes[0]) != "" {
		b.NodeServer = c.inside()
	}
	return b
}

// caller is the person who typed the command: under sudo not root, but whoever called sudo.
func caller() (home string, uid, gid int) {
	if name := os.Getenv("SUDO_USER"); name != "" && os.Geteuid() == 0 {
		if u, err := user.Lookup(name); err == nil {
			uid, _ = strconv.Atoi(u.Uid)
			gid, _ = strconv.Atoi(u.Gid)
			return u.HomeDir, uid, gid
		}
	}
	home, _ = os.UserHomeDir()
	return home, os.Geteuid(), os.Getegid()
}

// published reports whether a kubeconfig leads to this cluster.
func (c Config) published(path string) bool {
	access, err := pki.LoadKubeconfig(path, c.Name)
	own, ownErr := pki.LoadKubeconfig(c.kubeconfig(), "")
	return err == nil && ownErr == nil && access.Server == own.Server && bytes.Equal(access.CA, own.CA) && bytes.Equal(access.Cert, own.Cert)
}

// publish enters the cluster in the caller's kubeconfig and makes it the current one there.
func (c Config) publish(path string, out io.Writer) error {
	if c.Server != "" {
		fmt.Fprintf(out, "node %q has joined cluster %q at https://%s\n", c.Nodes[0], c.Cluster, c.Server)
		return nil
	}
	access, err := pki.LoadKubeconfig(c.kubeconfig(), "")
	if err != nil {
		return err
	}
	_, err = os.Stat(filepath.Dir(path))
	made := err != nil
	if err := pki.MergeKubeconfig(path, access, true); err != nil {
		return err
	}
	if err := giveToCaller(path, made); err != nil {
		return err
	}
	fmt.Fprintf(out, "cluster %q is up at https://%s; context %q is in %s\n", c.Name, c.Listen, c.Name, path)
	return nil
}

// giveToCaller makes a file in the caller's home, and the folder if it was made for it, the caller's own.
func giveToCaller(path string, folder bool) error {
	home, uid, gid := caller()
	if rel, err := filepath.Rel(home, path); os.Geteuid() != 0 || uid == 0 || err != nil || !filepath.IsLocal(rel) {
		return nil
	}
	paths := []string{path}
	if folder {
		paths = append(paths, filepath.Dir(path))
	}
	for _, p := range paths {
		if err := os.Chown(p, uid, gid); err != nil && !errors.Is(err, fs.ErrNotExist) { // down may have removed an emptied one
			return err
		}
	}
	return nil
}
