//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"optimist/e2e/real"
)

// four are the processes that a cluster of one node adds to containerd.
var four = []string{"apiserver", "scheduler", "controllers", "agent-n1"}

// idle measures what a cluster with one running pod costs when nothing happens: memory (PSS: pages that several processes map count in
// parts) at the end of the time, CPU over all of it.
func idle(ctx context.Context, p plan) (figures []figure, err error) {
	c, err := real.New("b")
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := c.Close(); err == nil {
			err = e
		}
	}()
	for _, do := range []func() error{ctl(c, "up", "--name", c.Name), ctl(c, "image", "load", image(c)),
		func() error { return runPod(ctx, c, "only") }} {
		if err := do(); err != nil {
			return nil, err
		}
	}
	pids, err := c.PIDs()
	if err != nil {
		return nil, err
	}
	before, began := cpu(pids), time.Now()
	select {
	case <-time.After(time.Duration(p.seconds) * time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	used := cpu(pids) - before
	share := 100 * used.Seconds() / time.Since(began).Seconds()
	return append(memory(c, pids, p.seconds), figure{name: "idle CPU, the four together", value: fmt.Sprintf("%.1f %% of a core", share)}), nil
}

func memory(c *real.Cluster, pids map[string]int, after int) (figures []figure) {
	sum := 0
	for _, name := range four {
		pss := pss(pids[name])
		sum += pss
		figures = append(figures, figure{name: "PSS after " + strconv.Itoa(after) + " s idle: " + name, value: megabytes(pss)})
	}
	figures = append(figures, figure{name: "  the four together", value: megabytes(sum), reach: "≤ 100 MB"})
	for _, name := range []string{"containerd", "supervisor"} {
		figures = append(figures, figure{name: "  beside them: " + name, value: megabytes(pss(pids[name]))})
	}
	for _, program := range []string{"logger", "containerd-shim-runc-v2"} {
		n, sum := beside(c.Name, program)
		figures = append(figures, figure{name: fmt.Sprintf("  beside them: %s (%d)", program, n), value: megabytes(sum)})
	}
	return figures
}

func megabytes(kB int) string { return fmt.Sprintf("%.1f MB", float64(kB)/1024) }

// pss is the proportional set size of a process in kB; 0 when it is gone.
func pss(pid int) (kB int) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range strings.Lines(string(data)) {
		if n, err := fmt.Sscanf(line, "Pss: %d kB", &kB); n == 1 && err == nil {
			return kB
		}
	}
	return 0
}

// beside adds up the processes of a program that name the cluster in their command line.
func beside(cluster, program string) (n, kB int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		line, _ := os.ReadFile(path)
		argv0, _, _ := bytes.Cut(line, []byte{0})
		if filepath.Base(string(argv0)) != program || !bytes.Contains(line, []byte(cluster)) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		n, kB = n+1, kB+pss(pid)
	}
	return n, kB
}

// tick is the unit of /proc/PID/stat (USER_HZ).
const tick = 10 * time.Millisecond

// cpu is what the four have used so far, user and system.
func cpu(pids map[string]int) (sum time.Duration) {
	for _, name := range four {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pids[name]))
		_, rest, _ := strings.Cut(string(data), ") ") // the name may hold anything
		fields := strings.Fields(rest)
		if len(fields) < 13 {
			continue
		}
		for _, f := range fields[11:13] {
			n, _ := strconv.Atoi(f)
			sum += time.Duration(n) * tick
		}
	}
	return sum
}
