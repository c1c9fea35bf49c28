package cluster

import (
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

// credentials is whom a cluster has certificates for.
func (c Config) credentials() pki.Bootstrap {
	host, _, _ := net.SplitHostPort(c.Listen)
	return pki.Bootstrap{Cluster: c.Name, Server: c.Listen, Nodes: c.Nodes, Controllers: c.controllers,
		Hosts: []string{host, "127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}}
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

// userKubeconfig is the file that kubectl and ctl read.
func userKubeconfig() string {
	if files := filepath.SplitList(os.Getenv("KUBECONFIG")); len(files) > 0 {
		return files[0]
	}
	home, _, _ := caller()
	return filepath.Join(home, ".kube", "config")
}

// publish enters the cluster in the caller's kubeconfig and makes it the current one there.
func (c Config) publish(path string, out io.Writer) error {
	if path == "" {
		path = userKubeconfig()
	}
	access, err := pki.LoadKubeconfig(c.kubeconfig(), "")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := pki.MergeKubeconfig(path, access, true); err != nil {
		return err
	}
	if err := giveToCaller(path); err != nil {
		return err
	}
	fmt.Fprintf(out, "cluster %q is up at https://%s; context %q is in %s\n", c.Name, c.Listen, c.Name, path)
	return nil
}

// giveToCaller makes a file in the caller's home, and the folder that was perhaps made for it, the caller's own.
func giveToCaller(path string) error {
	home, uid, gid := caller()
	if os.Geteuid() != 0 || uid == 0 || !within(home, path) {
		return nil
	}
	for _, p := range []string{filepath.Dir(path), path} {
		if err := os.Chown(p, uid, gid); err != nil && !errors.Is(err, fs.ErrNotExist) { // down may have removed an emptied one
			return err
		}
	}
	return nil
}

func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}
