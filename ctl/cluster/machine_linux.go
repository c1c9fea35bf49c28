package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"optimist/ctl/doctor"
)

// checkMachine says what this machine lacks for real containers. It installs nothing.
func checkMachine() error {
	if os.Geteuid() != 0 {
		return errors.New("real containers need root: use sudo, or try a simulated cluster as you are: ctl up --sim")
	}
	missing, packages := doctor.Missing(func(program string) bool { _, err := exec.LookPath(program); return err == nil })
	if missing != "" {
		return fmt.Errorf("%s not found: apt install %s (or try a simulated cluster: ctl up --sim)", missing, packages)
	}
	return nil
}

func runningOf(cmd *exec.Cmd) *running {
	return &running{PID: cmd.Process.Pid, Start: startOf(cmd.Process.Pid), Boot: bootID(), cmd: cmd}
}

func (r running) alive() bool {
	return r.PID != 0 && r.Boot == bootID() && r.Start != "" && startOf(r.PID) == r.Start
}

func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

// startOf is field 22 of /proc/PID/stat; "" when the process is gone or only waits to be reaped.
func startOf(pid int) string {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, ok := strings.Cut(string(stat), ") ") // the name before it may hold anything
	f := strings.Fields(rest)
	if !ok || len(f) < 20 || f[0] == "Z" {
		return ""
	}
	return f[19]
}

// wait returns when the process has ended or ctx has, with how it ended if that can be known.
func (r *running) wait(ctx context.Context) error {
	if r.cmd == nil {
		return r.poll(ctx)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.cmd.Wait() }()
	select {
	case err := <-ended:
		if err == nil {
			return errors.New("exit status 0")
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// poll waits for a process that is not our child.
func (r *running) poll(ctx context.Context) error {
	fd, err := unix.PidfdOpen(r.PID, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 200)
		if n > 0 || err != nil && err != unix.EINTR {
			return errors.New("was not our child: exit status unknown")
		}
	}
	return ctx.Err()
}

// stop ends the process: politely, then not.
func (r *running) stop(patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if !r.alive() || syscall.Kill(r.PID, syscall.SIGTERM) != nil {
		return
	}
	if _ = r.poll(ctx); r.alive() {
		_ = syscall.Kill(r.PID, syscall.SIGKILL)
		_ = r.poll(context.Background())
	}
}
