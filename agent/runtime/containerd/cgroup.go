package containerd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
)

const (
	cgroupMount = "/sys/fs/cgroup"
	cpuPeriod   = 100_000 // µs, Kubernetes' 100 ms
)

// cgroups keeps one cgroup per pod, below which runc makes those of the containers:
//
//	/optimist-dev-n1            root, made with the first pod, removed with the last
//	  pod<uid>                  the pod's limits, written here
//	    web.0                   the container's, written by runc
//
// Version 1 has one such tree for each controller, version 2 a single one.
type cgroups struct {
	root    string
	unified bool
	mu      sync.Mutex // making a pod's folder and removing the empty root exclude each other
}

func newCgroups(root string) *cgroups {
	var fs unix.Statfs_t
	err := unix.Statfs(cgroupMount, &fs)
	return &cgroups{root: root, unified: err == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC}
}

// pod is a path as seen from the cgroup mount.
func (c *cgroups) pod(pod types.UID) string { return filepath.Join(c.root, "pod"+string(pod)) }

func (c *cgroups) container(id runtime.ContainerID) string {
	return filepath.Join(c.pod(id.Pod), id.Name+"."+strconv.Itoa(id.Attempt))
}

// makePod makes the pod's cgroup and writes its limits.
func (c *cgroups) makePod(pod types.UID, limits runtime.Limits) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, tree := range c.trees() {
		if err := os.MkdirAll(filepath.Join(tree, c.pod(pod)), 0o755); err != nil {
			return fmt.Errorf("make the pod's cgroup: %w", err)
		}
	}
	if c.unified {
		if err := c.delegate(pod); err != nil {
			return err
		}
	}
	for _, s := range c.settings(limits) {
		path := filepath.Join(cgroupMount, s.controller, c.pod(pod), s.file)
		if err := os.WriteFile(path, []byte(s.value), 0o644); err != nil {
			return fmt.Errorf("limit the pod's cgroup: %w", err)
		}
	}
	return nil
}

// trees are the hierarchies that carry limits. On version 1 runc makes the container's part of all others by itself.
func (c *cgroups) trees() []string {
	if c.unified {
		return []string{cgroupMount}
	}
	return []string{filepath.Join(cgroupMount, "cpu"), filepath.Join(cgroupMount, "memory")}
}

// delegate lets the children of the pod's cgroup, and all above it, have limits (version 2).
func (c *cgroups) delegate(pod types.UID) error {
	at := cgroupMount
	for _, step := range strings.Split(strings.Trim(c.pod(pod), "/"), "/") {
		if err := os.WriteFile(filepath.Join(at, "cgroup.subtree_control"), []byte("+cpu +memory +pids"), 0o644); err != nil {
			return fmt.Errorf("delegate controllers below %s: %w", at, err)
		}
		at = filepath.Join(at, step)
	}
	return os.WriteFile(filepath.Join(at, "cgroup.subtree_control"), []byte("+cpu +memory +pids"), 0o644)
}

type setting struct{ controller, file, value string }

// settings spells limits for this machine's cgroup version; what is zero is left alone.
func (c *cgroups) settings(l runtime.Limits) []setting {
	var all []setting
	add := func(set bool, controller, v1, v1Value, v2, v2Value string) {
		switch {
		case !set:
		case c.unified:
			all = append(all, setting{"", v2, v2Value})
		default:
			all = append(all, setting{controller, v1, v1Value})
		}
	}
	shares, quota, memory := strconv.FormatUint(l.CPUShares, 10), strconv.FormatInt(l.CPUQuota, 10), strconv.FormatInt(l.MemoryBytes, 10)
	add(l.CPUShares > 0, "cpu", "cpu.shares", shares, "cpu.weight", strconv.FormatUint(weight(l.CPUShares), 10))
	add(l.CPUQuota > 0 && !c.unified, "cpu", "cpu.cfs_period_us", strconv.Itoa(cpuPeriod), "", "")
	add(l.CPUQuota > 0, "cpu", "cpu.cfs_quota_us", quota, "cpu.max", quota+" "+strconv.Itoa(cpuPeriod))
	add(l.MemoryBytes > 0, "memory", "memory.limit_in_bytes", memory, "memory.max", memory)
	return all
}

// weight maps version 1's shares (2 … 262144) to version 2's weight (1 … 10000), as runc and the kubelet do.
func weight(shares uint64) uint64 {
	shares = min(max(shares, 2), 262144)
	return 1 + (shares-2)*9999/262142
}

// oomKills counts the processes of a container that the kernel killed for want of memory; 0 when the cgroup is gone.
func (c *cgroups) oomKills(id runtime.ContainerID) int {
	path := filepath.Join(cgroupMount, "memory", c.container(id), "memory.oom_control")
	if c.unified {
		path = filepath.Join(cgroupMount, c.container(id), "memory.events")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(value))
			return n
		}
	}
	return 0
}

// removePod removes the pod's cgroups in every hierarchy, and the node's when that was the last pod.
func (c *cgroups) removePod(pod types.UID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, tree := range c.everyTree() {
		path := filepath.Join(tree, c.pod(pod))
		children, _ := filepath.Glob(filepath.Join(path, "*", "cgroup.procs"))
		for _, child := range children {
			errs = append(errs, rmdir(filepath.Dir(child)))
		}
		errs = append(errs, rmdir(path))
		_ = rmdir(filepath.Join(tree, c.root)) // refused while other pods are in it
	}
	return errors.Join(errs...)
}

func (c *cgroups) everyTree() []string {
	if c.unified {
		return []string{cgroupMount}
	}
	trees, _ := filepath.Glob(filepath.Join(cgroupMount, "*"))
	return trees
}

func rmdir(path string) error {
	err := syscall.Rmdir(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	return fmt.Errorf("remove cgroup %s: %w", path, err)
}
