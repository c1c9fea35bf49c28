package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The supervisor's lock says whether a cluster runs: whoever holds it is its supervisor, and its pid stands in the file.

func (c Config) lockFile() string { return c.path("supervisor.lock") }

// until asks again and again whether something is so, for as long as that may take.
func until(limit time.Duration, so func() bool) bool {
	for end := time.Now().Add(limit); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// lock makes this process the cluster's supervisor until it ends, however it ends.
func (c Config) lock() (*os.File, error) {
	f, err := os.OpenFile(c.lockFile(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if !until(time.Second/2, func() bool { return tryLock(f) }) { // longer than anyone needs to look who holds it
		f.Close()
		return nil, fmt.Errorf("cluster %q has a supervisor already (pid %d)", c.Name, c.supervisor())
	}
	if err := f.Truncate(0); err != nil {
		return nil, err
	}
	_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	return f, err
}

// supervisor is the pid of the cluster's supervisor, 0 if none runs.
func (c Config) supervisor() int {
	f, err := os.Open(c.lockFile())
	if err != nil {
		return 0
	}
	defer f.Close()
	if tryShared(f) {
		return 0
	}
	data, _ := os.ReadFile(c.lockFile())
	pid, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return pid
}

// spawn starts a supervisor that outlives this command, and waits until it holds the lock.
func (c Config) spawn() error {
	if c.hasUnit() {
		return c.spawnUnit()
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(c.logFile("supervisor"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(self, "supervise", "--name", c.Name)
	cmd.Dir = c.Root
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = detached()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for c.supervisor() == 0 {
		select {
		case err := <-ended:
			return fmt.Errorf("the supervisor ended at once (%w)%s", err, lastLines(c.logFile("supervisor"), 1))
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// signal tells the supervisor to end and waits until it has. It ends by itself once all of its processes have.
func (c Config) signal(sig syscall.Signal, patience time.Duration) error {
	pid := c.supervisor()
	if pid == 0 {
		return nil
	}
	if err := kill(pid, sig); err != nil {
		return fmt.Errorf("tell the supervisor (pid %d) to end: %w", pid, err)
	}
	if !until(patience, func() bool { return c.supervisor() != pid }) {
		return fmt.Errorf("cluster %q does not stop: its supervisor (pid %d) still works at it; see %s", c.Name, pid, c.logFile("supervisor"))
	}
	return nil
}

// programs returns the folder of the component binaries: that of ctl itself.
func programs() (string, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	return filepath.Dir(self), err
}
