package containerd

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"optimist/agent/runtime"
)

const (
	cgroupMount = "/sys/fs/cgroup"
	cpuPeriod   = 100_000 // µs, Kubernetes' 100 ms
)

// cgroupOf is a container's cgroup, below the node's, as seen from the mount. runc makes and removes it and writes the limits; version 1 has
// one such tree for each controller, version 2 a single one.
func (r *Runtime) cgroupOf(id runtime.ContainerID) string {
	return filepath.Join(r.cfg.CgroupRoot, id.String())
}

// oomKills counts the processes of a container that the kernel killed for want of memory; 0 when the cgroup is gone.
func (r *Runtime) oomKills(id runtime.ContainerID) int {
	text, err := os.ReadFile(filepath.Join(cgroupMount, "memory", r.cgroupOf(id), "memory.oom_control"))
	if err != nil {
		text, _ = os.ReadFile(filepath.Join(cgroupMount, r.cgroupOf(id), "memory.events")) // version 2
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(value))
			return n
		}
	}
	return 0
}

// removeCgroup removes the node's cgroup, in every tree, with its last container. While others are in it the kernel refuses; while one is
// being started we do not try.
func (r *Runtime) removeCgroup() {
	if !r.cgroup.TryLock() {
		return
	}
	defer r.cgroup.Unlock()
	trees, _ := filepath.Glob(filepath.Join(cgroupMount, "*", r.cfg.CgroupRoot))
	for _, path := range append(trees, filepath.Join(cgroupMount, r.cfg.CgroupRoot)) {
		_ = os.Remove(path)
	}
}
