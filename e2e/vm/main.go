//go:build linux

// Command vm is `make vmtest`: three virtual machines on a private segment, made from Debian's packages (systemd, cgroup v2, a kernel of their
// own; software emulation, so it runs anywhere), become one cluster and are treated badly. Needs root (for mmdebstrap), QEMU and the built programs.
//
//	   this machine: network namespace vm-<pid>                       the guests' commands come through a virtio port each (guest.go)
//	┌───────────────── bridge vmbr, leads nowhere ─────────────────┐
//	tap n1                      tap n2                        tap n3
//	10.77.0.1 ctl up --systemd  10.77.0.2 ctl join --systemd  10.77.0.3
//
// The story is in story.go; image.go builds the guests' disk, guest.go starts them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	for _, tool := range []string{"qemu-system-x86_64", "mmdebstrap", "mke2fs", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			fmt.Fprintf(os.Stderr, "SKIPPED: vmtest needs %s, which is not installed\n", tool)
			return
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 45*time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "VMTEST FAILED:", err)
		os.Exit(1)
	}
	fmt.Println("VMTEST OK")
}

func run(ctx context.Context) (err error) {
	work, err := os.MkdirTemp("/var/tmp", "optimist-vm-")
	if err != nil {
		return err
	}
	if os.Getenv("VMTEST_KEEP") == "" {
		defer os.RemoveAll(work)
	}
	say("building the guests' disk")
	i, err := build(ctx, work)
	if err != nil {
		return err
	}
	s := segment(fmt.Sprintf("vm-%d", os.Getpid()))
	defer func() { err = errors.Join(err, s.remove()) }()
	if err := s.make(); err != nil {
		return err
	}
	guests := make([]*guest, 3)
	for n := range guests {
		guests[n] = &guest{number: n + 1, image: i, segment: s, work: filepath.Join(work, fmt.Sprintf("n%d", n+1))}
		defer guests[n].off()
		if err := guests[n].on(ctx); err != nil {
			return err
		}
	}
	say("starting three guests (their kernels take a minute under emulation)")
	for _, g := range guests {
		if err := g.ready(); err != nil {
			return err
		}
		out, err := g.run(ctx, `echo "$(uname -r), systemd $(systemctl --version | head -n 1 | cut -d' ' -f2), cgroup $(stat -fc %T /sys/fs/cgroup), $(containerd --version | cut -d' ' -f3)"`)
		if err != nil {
			return err
		}
		say("%s: %s", g, out)
	}
	if err := story(ctx, guests); err != nil {
		for _, g := range guests {
			out, _ := g.run(context.Background(), `tail -n 12 /var/lib/optimist/*/logs/*.log; ip -br address; ip route; nft list ruleset | head -n 80; journalctl -b -u 'optimist*' -n 30 --no-pager`)
			fmt.Printf("--- %s\n%s\n", g, out)
		}
		return err
	}
	return nil
}

var began = time.Now()

func say(format string, args ...any) {
	fmt.Printf("%6.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}
