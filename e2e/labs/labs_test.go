// Package labs does the labs as a learner does: it reads their pages and types what stands there.
package labs

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"optimist/ctl/lab"
	"optimist/e2e/real"
)

// box is a ```console block of a page.
type box struct {
	second   bool // for the second terminal: it goes on until the end of the page
	commands []command
}

// command is a line beginning with $, and the lines below it: what of its output the page shows.
type command struct {
	line  string
	shown []string
}

func boxes(t *testing.T, page string) (all []box) {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var now *box
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		typed, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case line == "```console":
			now = &box{}
		case now == nil:
		case line == "```":
			all, now = append(all, *now), nil
		case line == "# second terminal":
			now.second = true
		case isCommand:
			now.commands = append(now.commands, command{line: typed})
		case len(now.commands) == 0:
			t.Fatalf("%s: a box begins with %q, which is no command", page, line)
		default:
			last := &now.commands[len(now.commands)-1]
			last.shown = append(last.shown, line)
		}
	}
	return all
}

// learner is somebody without rights on a machine without containers.
type learner struct {
	*real.Cluster
	home string
}

func newLearner(t *testing.T) *learner {
	if os.Geteuid() != 0 || os.Getenv("OPTIMIST_NO_ROOT") != "" || testing.Short() {
		t.Skip("SKIPPED: needs root, to become somebody else (run make test as root)")
	}
	ground, err := real.New("l")
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "home-")
	if err != nil {
		t.Fatal(err)
	}
	l := &learner{ground, home}
	t.Cleanup(func() {
		if t.Failed() {
			_, _ = l.types("ctl down --yes --name lab")
		}
		os.RemoveAll(home)
		if err := ground.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(os.Chmod(home, 0o755), os.Chown(home, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *learner) shell(ctx context.Context, line string) *exec.Cmd {
	cmd := l.Command(ctx, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
		"env", "-i", "HOME="+l.home, "PATH="+l.Bin+":/usr/bin:/bin", "bash", "-c", line)
	cmd.Dir = real.Top
	return cmd
}

func (l *learner) types(line string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := l.shell(ctx, line).CombinedOutput()
	return string(out), err
}

func TestLabs(t *testing.T) {
	l := newLearner(t)
	for _, one := range lab.All() {
		t.Run(one.Title, func(t *testing.T) {
			began := time.Now()
			l.does(t, one)
			t.Logf("%.1f s", time.Since(began).Seconds())
		})
		if t.Failed() {
			return
		}
	}
	if left, _ := filepath.Glob(l.home + "/.local/share/optimist/*"); len(left) > 0 {
		t.Errorf("after the last lab: %v", left)
	}
	if config, err := os.ReadFile(l.home + "/.kube/config"); bytes.Contains(config, []byte("lab")) || err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the kubeconfig after the last lab (%v):\n%s", err, config)
	}
}

// does a lab from its page's first box to the last.
func (l *learner) does(t *testing.T, one lab.Lab) {
	page := filepath.Join(real.Top, one.Page)
	check := "ctl lab check " + string(rune('0'+one.Number))
	for i, b := range boxes(t, page) {
		if b.second {
			defer l.watches(t, b.commands[0].line)()
			continue
		}
		for _, c := range b.commands {
			if strings.HasPrefix(c.line, check) {
				l.isRefused(t, check+" --answer 'I do not know'", 1)
			}
			l.follows(t, c, one.Answers[0])
		}
		if i == 0 {
			l.isRefused(t, check, len(one.Steps)+1)
		}
	}
	if out, err := l.types("ctl get namespace " + one.Namespace()); err == nil {
		t.Errorf("the lab is over, but its namespace is still there:\n%s", out)
	}
}

// isRefused makes sure that a check misses so many steps.
func (l *learner) isRefused(t *testing.T, check string, steps int) {
	t.Helper()
	out, err := l.types(check)
	if n := strings.Count(out, "✗"); err == nil || n != steps {
		t.Errorf("%s: %d steps missing, %v; want %d\n%s", check, n, err, steps, out)
	}
}

// follows types a line of the page. What the page shows of the output was printed, with anything for each ….
func (l *learner) follows(t *testing.T, c command, answer string) {
	t.Helper()
	out, err := l.types(strings.ReplaceAll(c.line, "your answer", answer))
	if err != nil {
		t.Fatalf("$ %s\n%s%v", c.line, out, err)
	}
	for _, line := range c.shown {
		if !slices.ContainsFunc(strings.Split(out, "\n"), func(is string) bool { return like(is, line) }) {
			t.Errorf("$ %s\nprinted no %q:\n%s", c.line, line, out)
		}
	}
}

func like(is, shown string) bool {
	for _, piece := range strings.Split(strings.TrimSpace(shown), "…") {
		_, rest, ok := strings.Cut(is, piece)
		if !ok {
			return false
		}
		is = rest
	}
	return true
}

// watches types a line in the second terminal. It must go on until the page ends, and have something to say.
func (l *learner) watches(t *testing.T, line string) (end func()) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := l.shell(t.Context(), "exec "+line)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 130 {
			t.Errorf("$ %s\n%sended by itself: %v\n%s", line, out.String(), err, errs.String())
		}
		if strings.Count(out.String(), "\n") < 5 {
			t.Errorf("$ %s\nhad nothing to say: %s%s", line, out.String(), errs.String())
		}
		t.Logf("second terminal:\n%s%s", out.String(), errs.String())
	}
}
