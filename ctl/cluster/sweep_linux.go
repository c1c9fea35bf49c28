package cluster

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sweep removes what a clean end would have removed: whatever of this cluster still runs, is mounted or lies about. It is the last
// part of down and needs no other process to be alive.
func (c Config) sweep() error {
	until(time.Second, func() bool {
		left := c.leftovers()
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(left) == 0
	})
	if err := c.removeLinks(); err != nil {
		return err
	}
	for _, m := range slices.Backward(c.mounts()) {
		if err := unix.Unmount(m, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", m, err)
		}
	}
	c.removeCgroups()
	c.removeRuntimeFolders()
	for _, dir := range []string{c.Run, c.Root} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		_ = os.Remove(filepath.Dir(dir)) // goes with its last cluster
	}
	return nil
}

// leftovers are processes in the cluster's cgroups, shims of its containerd, and its own programs.
func (c Config) leftovers() []int {
	var pids []int
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range procs {
		if pid, _ := strconv.Atoi(filepath.Base(dir)); pid != os.Getpid() && c.owns(dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (c Config) owns(proc string) bool {
	cgroups, _ := os.ReadFile(filepath.Join(proc, "cgroup"))
	for _, node := range c.Nodes {
		if bytes.Contains(cgroups, []byte(":/"+c.cgroup(node)+"/")) {
			return true
		}
	}
	cmdline, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
	for _, arg := range strings.Split(string(cmdline), "\x00") {
		if arg == c.socket() || arg == c.path("containerd", "config.toml") || arg == c.pki() || filepath.Dir(arg) == c.pki() {
			return true
		}
	}
	return false
}

// mounts are the mount points below the cluster's folders, in the order in which they were made.
func (c Config) mounts() (points []string) {
	data, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(data)) {
		at := strings.ReplaceAll(strings.Fields(line)[4], `\040`, " ")
		if strings.HasPrefix(at, c.Root+"/") || strings.HasPrefix(at, c.Run+"/") {
			points = append(points, at)
		}
	}
	return points
}

const shared = "/run/containerd"

// runcFolder is named after the node's containerd namespace.
func (c Config) runcFolder(node string) string { return filepath.Join(shared, "runc", c.cgroup(node)) }

// removeRuntimeFolders removes what runc and the shims keep outside of our folders, where all containerds of a machine keep it. The folders
// themselves go only if nothing of anybody is in them; whoever needs them makes them again.
func (c Config) removeRuntimeFolders() {
	addresses, _ := filepath.Glob(filepath.Join(c.Run, "containerd", "io.containerd.runtime.v2.task", "*", "*", "address"))
	for _, file := range addresses { // of shims that had to be killed
		address, _ := os.ReadFile(file)
		if socket, ok := strings.CutPrefix(string(address), "unix://"+shared+"/s/"); ok && filepath.IsLocal(socket) {
			_ = os.Remove(filepath.Join(shared, "s", socket))
		}
	}
	for _, node := range c.Nodes {
		_ = os.RemoveAll(c.runcFolder(node))
	}
	for _, dir := range []string{"runc", "s", ""} {
		_ = os.Remove(filepath.Join(shared, dir))
	}
}

// removeCgroups removes the cluster's cgroups in every hierarchy, deepest first; a cgroup is removed by removing its folder.
func (c Config) removeCgroups() {
	var dirs []string
	for _, node := range c.Nodes {
		for _, tree := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
			tops, _ := filepath.Glob(filepath.Join(tree, c.cgroup(node)))
			for _, top := range tops {
				_ = filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
					if err == nil && d.IsDir() {
						dirs = append(dirs, path)
					}
					return nil
				})
			}
		}
	}
	for _, dir := range slices.Backward(dirs) {
		_ = os.Remove(dir)
	}
}
