//go:build unix

package cluster

import (
	"errors"
	"os"
	"syscall"
)

// removeSignal tells a supervisor to end and to take the pods and their network away; SIGTERM keeps what is on disk.
const removeSignal = syscall.SIGUSR1

func checkSystem() error { return nil }

// tryLock takes a file's lock if nobody has it. It goes with the process, however that ends.
func tryLock(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// tryShared reports whether nobody has the file's lock.
func tryShared(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil
}

// awaitLock waits for a file's lock.
func awaitLock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }

// detached is a process in a session of its own: the end of the terminal is not its end. Nor does it keep open what our caller has (flock FILE ctl
// up would hold the lock for as long as the cluster runs).
func detached() *syscall.SysProcAttr {
	for fd := 3; fd < 256; fd++ {
		syscall.CloseOnExec(fd)
	}
	return &syscall.SysProcAttr{Setsid: true}
}

// kill sends a signal; that the process is gone already is fine.
func kill(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
