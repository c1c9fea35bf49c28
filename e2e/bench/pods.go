//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"

	"optimist/e2e/real"
)

// pods compares starting a pod with the bare calls to containerd and the kernel: the benchmark of package containerd does it, in pairs.
func pods(ctx context.Context, p plan) ([]figure, error) {
	args := []string{"test", "-run", "^$", "-bench", "BenchmarkPodStart", "-benchtime", fmt.Sprintf("%dx", p.pairs), "./agent/runtime/containerd"}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = real.Top
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	command := "go " + strings.Join(args, " ")
	return []figure{
		{name: "pod start (sandbox, network, container), median", value: metric(out, "ms/ours") + " ms", command: command},
		{name: "the same by plain containerd and netlink", value: metric(out, "ms/plain") + " ms", command: command},
		{name: "median of the pairs' ratios", value: metric(out, "ratio") + " [" + metric(out, "ratio-of-best") + "]", reach: "≤ 1.25", command: command},
	}, nil
}

// metric is the number before a unit in a benchmark's line.
func metric(out []byte, unit string) string {
	found := regexp.MustCompile(`(\S+) ` + regexp.QuoteMeta(unit) + `\s`).FindSubmatch(out)
	if found == nil {
		return "?"
	}
	return string(found[1])
}
