// Fuzz runs every fuzz target of the module for a while, one after the other, and says how far each came and how much memory it took.
//
//	make fuzz                          # a minute each
//	go run ./e2e/fuzz -time 10s -only 'rest|dns'
//
// A target that fails leaves what it failed on in its package's testdata/fuzz, where `go test` finds it from then on: mend, and commit both.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

var (
	each   = flag.Duration("time", time.Minute, "for each target")
	only   = flag.String("only", "", "targets to run: a regular expression for PACKAGE.NAME")
	list   = flag.Bool("list", false, "print the targets, and no more")
	memory = flag.Int64("memory", 1500, "MiB: a target whose processes need more has grown, and fails")
)

func main() {
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// target is a function in a folder.
type target struct{ dir, name string }

func (t target) String() string { return filepath.ToSlash(t.dir) + "." + t.name }

var (
	isTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)
	progress = regexp.MustCompile(`execs: (\d+) .*new interesting: \d+ \(total: (\d+)\)`)
)

// targets finds them in the sources: asking `go test -list` would build every package's tests.
func targets() (all []target, err error) {
	chosen, err := regexp.Compile(*only)
	if err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); path != "." && (err == nil || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
				return fs.SkipDir // other modules
			}
			return nil
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range isTarget.FindAllSubmatch(text, -1) {
			if t := (target{filepath.Dir(path), string(m[1])}); chosen.MatchString(t.String()) {
				all = append(all, t)
			}
		}
		return err
	})
	return all, err
}

func run(ctx context.Context) error {
	all, err := targets()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("no target: run it in the module's folder, and see -list")
	}
	if *list {
		for _, t := range all {
			fmt.Println(t)
		}
		return nil
	}
	work, err := os.MkdirTemp("", "optimist-fuzz-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	cache, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return fmt.Errorf("go env GOCACHE: %w", err)
	}
	var failed []string
	for n, t := range all {
		fmt.Printf("%2d/%d  %-48s ", n+1, len(all), t)
		words, err := t.fuzz(ctx, work, strings.TrimSpace(string(cache)))
		if ctx.Err() != nil {
			fmt.Println()
			return errors.New("interrupted")
		}
		if err != nil {
			failed = append(failed, t.String())
			words = fmt.Sprintf("FAILED: %v", err)
		}
		fmt.Println(words)
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d targets failed: %s", len(failed), len(all), strings.Join(failed, ", "))
	}
	fmt.Printf("all %d targets held for %v each\n", len(all), *each)
	return nil
}

// fuzz builds the target's package with instrumentation, unless that is there already, and runs the target in its folder.
func (t target) fuzz(ctx context.Context, work, cache string) (string, error) {
	binary := filepath.Join(work, strings.ReplaceAll(t.dir, string(filepath.Separator), "_"))
	if _, err := os.Stat(binary); err != nil {
		if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-fuzz=.", "-o", binary, "./"+t.dir).CombinedOutput(); err != nil {
			return "", fmt.Errorf("it cannot be built: %w\n%s", err, out)
		}
	}
	var out bytes.Buffer
	c := exec.CommandContext(ctx, binary, "-test.run=^$", "-test.fuzz=^"+t.name+"$", "-test.fuzztime="+each.String(), "-test.parallel=2",
		"-test.fuzzcachedir="+filepath.Join(cache, "fuzz", "optimist", t.dir))
	c.Dir, c.Stdout, c.Stderr = t.dir, &out, &out
	c.Cancel, c.WaitDelay = func() error { return c.Process.Signal(os.Interrupt) }, 10*time.Second
	err := c.Run()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out.Bytes())
	}
	most := int64(0) // of any of its processes
	if used, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
		most = used.Maxrss >> 10
	}
	if most > *memory {
		return "", fmt.Errorf("a process of it has taken %d MiB; at most %d are expected", most, *memory)
	}
	execs, interesting := "0", "0"
	for _, m := range progress.FindAllStringSubmatch(out.String(), -1) {
		execs, interesting = m[1], m[2]
	}
	return fmt.Sprintf("%9s inputs, %5s of interest, %4d MiB", execs, cmp.Or(interesting, "0"), most), nil
}
