package node

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// sizes are the bytes of memory and of root's disk; 0 where the kernel does not say.
func sizes(root string) (memory, disk int64) {
	var system unix.Sysinfo_t
	if unix.Sysinfo(&system) == nil {
		memory = int64(system.Totalram) * int64(system.Unit)
	}
	var fs unix.Statfs_t
	if unix.Statfs(root, &fs) == nil {
		disk = int64(fs.Blocks) * fs.Bsize
	}
	return memory, disk
}

// machine is what a Node says of the computer under it.
func machine() corev1.NodeSystemInfo {
	read := func(path string) string {
		text, _ := os.ReadFile(path) // a file that misses is a line that misses in `describe`
		return strings.TrimSpace(string(text))
	}
	i := corev1.NodeSystemInfo{MachineID: read("/etc/machine-id"), BootID: read("/proc/sys/kernel/random/boot_id"), KernelVersion: read("/proc/sys/kernel/osrelease")}
	for line := range strings.Lines(read("/etc/os-release")) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			i.OSImage = strings.Trim(name, `"`)
		}
	}
	return i
}
