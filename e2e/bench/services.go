//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"optimist/e2e/real"
)

// services programs Services into the kernel: the benchmark of package proxy does it, in a network namespace of its own.
func services(ctx context.Context, p plan) ([]figure, error) {
	args := []string{"test", "-run", "^$", "-bench", "BenchmarkServices", "-benchtime", fmt.Sprintf("%dx", p.rounds), "./agent/proxy"}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = real.Top
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	value := func(unit string) string { return metric(out, unit) + " ms [worst " + metric(out, unit+"-worst") + "]" }
	command := "go " + strings.Join(args, " ")
	return []figure{
		{name: "10,000 Services of two endpoints: planned and programmed from nothing", value: value("ms/first"), reach: "≤ 3 s", command: command},
		{name: "one of them has one endpoint less or more, median", value: value("ms/change"), reach: "≤ 20 ms", command: command},
		{name: "one endpoint in place of another, median", value: value("ms/endpoint"), command: command},
		{name: "looking that table over / again, when nobody has changed any", value: metric(out, "ms/look") + " / " + metric(out, "ms/look-again") + " ms", command: command},
	}, nil
}
