package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const nonblock = unix.O_NONBLOCK // a FIFO is opened without waiting for who writes

// mountMemory mounts a tmpfs. Who may not mount keeps the plain folder.
func mountMemory(dir string, size int64) error {
	options := "mode=0777"
	if size > 0 {
		options += fmt.Sprintf(",size=%d", size)
	}
	err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options)
	if errors.Is(err, unix.EPERM) {
		return nil
	}
	return err
}

// mounted reports whether a file system begins at a folder.
func mounted(dir string) bool {
	var own, parent unix.Stat_t
	return unix.Stat(dir, &own) == nil && unix.Stat(filepath.Dir(dir), &parent) == nil && (own.Dev != parent.Dev || os.Geteuid() != 0)
}

// bind shows what an open file is at another place.
func bind(f *os.File, place string) error {
	return unix.Mount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), place, "", unix.MS_BIND|unix.MS_REC, "")
}

// unmount takes away all that is mounted at a place; nothing may be, not even the place.
func unmount(place string) error {
	for {
		err := unix.Unmount(place, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		switch {
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT), errors.Is(err, unix.EPERM):
			return nil
		case err != nil:
			return err
		}
	}
}
