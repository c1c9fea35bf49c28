package containerd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// pins are the files below a sandbox's folder on which its namespaces are mounted.
var pins = []string{"net", "ipc", "uts"}

// pinNamespaces makes fresh namespaces and mounts them on the pins, so that they live without any process in them. A host-network
// pod gets the network namespace that the agent itself is in.
func pinNamespaces(dir, hostname string, hostNetwork bool) error {
	for _, pin := range pins {
		if err := os.WriteFile(filepath.Join(dir, pin), nil, 0o444); err != nil {
			return err
		}
	}
	return onOwnThread(func() error {
		flags := unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
		if !hostNetwork {
			flags |= unix.CLONE_NEWNET
		}
		if err := unix.Unshare(flags); err != nil {
			return fmt.Errorf("make namespaces (are you root?): %w", err)
		}
		if err := unix.Sethostname([]byte(hostname)); err != nil {
			return fmt.Errorf("set hostname %q: %w", hostname, err)
		}
		if !hostNetwork {
			lo, err := netlink.LinkByName("lo")
			if err == nil {
				err = netlink.LinkSetUp(lo)
			}
			if err != nil {
				return fmt.Errorf("raise lo: %w", err)
			}
		}
		for _, pin := range pins {
			source := fmt.Sprintf("/proc/self/task/%d/ns/%s", unix.Gettid(), pin)
			if err := unix.Mount(source, filepath.Join(dir, pin), "", unix.MS_BIND, ""); err != nil {
				return fmt.Errorf("pin the %s namespace: %w", pin, err)
			}
		}
		return nil
	})
}

// pinned says whether the namespaces of a sandbox's folder still exist: after a reboot the files are there, the mounts are not.
func pinned(dir string) bool {
	for _, pin := range pins {
		var fs unix.Statfs_t
		if unix.Statfs(filepath.Join(dir, pin), &fs) != nil || fs.Type != unix.NSFS_MAGIC {
			return false
		}
	}
	return true
}

// unpin is idempotent; with the last mount the kernel drops the namespace and the links in it.
func unpin(dir string) error {
	var errs []error
	for _, name := range append([]string{"shm"}, pins...) {
		path := filepath.Join(dir, name)
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

// onOwnThread runs fn on a thread that ends with it, so that no other goroutine ever meets the namespaces fn entered. The main thread
// can't end (and /proc/self is it), so when the scheduler offers that one we hold it and take another.
func onOwnThread(fn func() error) error {
	result := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // without an Unlock: the thread ends with the goroutine
		if unix.Gettid() != unix.Getpid() {
			result <- fn()
			return
		}
		defer goruntime.UnlockOSThread()
		result <- onOwnThread(fn)
	}()
	return <-result
}
