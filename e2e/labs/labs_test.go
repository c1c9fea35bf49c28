// Package labs does the labs as a learner does: it reads their pages and types what stands there.
package labs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
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

// learner is somebody without rights on a machine without containers; or, for labs with real ones, root.
type learner struct {
	*real.Cluster
	home   string
	as     []string // what becomes this person
	second *terminal
}

// terminal is the second one: what it has shown, and when it has shown something last.
type terminal struct {
	mu    sync.Mutex
	text  bytes.Buffer
	spoke time.Time
}

func (w *terminal) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spoke = time.Now()
	return w.text.Write(p)
}

func (w *terminal) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// quiet reports for how long nothing was shown.
func (w *terminal) quiet() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.spoke)
}

func newLearner(t *testing.T, as ...string) *learner {
	t.Helper()
	if os.Geteuid() != 0 || os.Getenv("OPTIMIST_NO_ROOT") != "" || testing.Short() {
		t.Skip("SKIPPED: needs root, or to become somebody else (run make test as root)")
	}
	ground, err := real.New("l")
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "home-")
	if err != nil {
		t.Fatal(err)
	}
	l := &learner{Cluster: ground, home: home, as: as}
	t.Cleanup(func() {
		if t.Failed() {
			for _, name := range []string{"lab", "lab-real"} {
				out, err := l.types("tail -n 20 /var/lib/optimist/" + name + "/logs/*.log; ctl down --yes --name " + name)
				t.Log(out, err)
			}
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
	cmd := l.Command(ctx, "env", append(append([]string{"-i", "HOME=" + l.home, "PATH=" + l.Bin + ":/usr/sbin:/usr/bin:/sbin:/bin"}, l.as...), "bash", "-c", line)...)
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
	t.Parallel()
	newLearner(t, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups").doesAll(t, false)
}

// Real containers, and so root, and a cluster whose name stands on the page: none of that name may be there.
func TestRealLabs(t *testing.T) {
	t.Parallel()
	l := newLearner(t)
	for _, program := range []string{"containerd", "runc", "nft", "ss"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("SKIPPED: needs", program, "(.ci/install test)")
		}
	}
	if left := l.traces(); left != "" {
		t.Skipf("SKIPPED: somebody does lab 4 on this machine (ctl lab reset 4 --all):\n%s", left)
	}
	l.doesAll(t, true)
	if left := l.traces(); left != "" {
		t.Errorf("after the last lab:\n%s", left)
	}
}

// traces are what a real cluster for labs would leave behind.
func (l *learner) traces() string {
	out, _ := l.types("ls -d /var/lib/optimist/lab-real /run/optimist/lab-real /run/netns/optimist-lab-real-* 2>/dev/null; pgrep -fa '[n]ame lab-real'; " +
		"nft list tables; ip -o link | grep -v ' lo:\\| outside\\| nowhere'")
	return out
}

// doesAll does those labs that need real containers, or those that do not.
func (l *learner) doesAll(t *testing.T, containers bool) {
	for _, one := range lab.All() {
		if one.Real != containers {
			continue
		}
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
	check := fmt.Sprintf("ctl lab check %d", one.Number)
	for i, b := range boxes(t, filepath.Join(real.Top, one.Page)) {
		if b.second {
			defer l.watches(t, b.commands[0].line)()
			continue
		}
		for _, c := range b.commands {
			nap, waits := strings.CutPrefix(c.line, "sleep ")
			switch {
			case waits:
				l.waits(t, nap)
			case strings.HasPrefix(c.line, check):
				l.finishes(t, one, c, check)
			default:
				l.follows(t, c)
			}
		}
		if i == 0 {
			l.misses(t, check, len(one.Steps)+1)
		}
	}
	if out, err := l.types("ctl get namespace " + one.Namespace()); err == nil {
		t.Errorf("the lab is over, but its namespace is still there:\n%s", out)
	}
}

// waits as long as the page says, and on a busy machine until nothing has moved in the second terminal for so long.
func (l *learner) waits(t *testing.T, seconds string) {
	t.Helper()
	nap, err := time.ParseDuration(seconds + "s")
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(nap)
	if err := real.Eventually(time.Minute, func() (bool, string) { return l.second == nil || l.second.quiet() > nap, "something goes on and on" }); err != nil {
		t.Error(err)
	}
}

// finishes a lab: first with a wrong answer, which is all that is missing by then, then with the right one.
func (l *learner) finishes(t *testing.T, one lab.Lab, c command, check string) {
	t.Helper()
	l.misses(t, check+" --answer 'I do not know'", 1)
	c.line = strings.ReplaceAll(c.line, "your answer", one.Answers[0])
	l.follows(t, c)
}

// misses makes sure that a check misses so many steps, if need be after a while.
func (l *learner) misses(t *testing.T, check string, steps int) {
	t.Helper()
	if err := real.Eventually(time.Minute, func() (bool, string) {
		out, err := l.types(check)
		return err != nil && strings.Count(out, "✗") == steps, fmt.Sprintf("%s misses something else than %d steps (%v):\n%s", check, steps, err, out)
	}); err != nil {
		t.Error(err)
	}
}

// follows types a line of the page. What the page shows of the output was printed, with anything for each ….
func (l *learner) follows(t *testing.T, c command) {
	t.Helper()
	out, err := l.types(c.line)
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
	shown := &terminal{spoke: time.Now()}
	cmd := l.shell(t.Context(), "exec "+line)
	cmd.Stdout, cmd.Stderr = shown, shown
	l.second = shown
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		l.second = nil
		_ = cmd.Process.Signal(os.Interrupt)
		ended := cmd.Wait() // ctl says 130, other programs end by the signal
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ended == nil || cmd.ProcessState.ExitCode() != 130 && !(ok && status.Signal() == syscall.SIGINT) {
			t.Errorf("$ %s\nended by itself: %v", line, ended)
		}
		if strings.Count(shown.String(), "\n") < 5 {
			t.Errorf("$ %s\nhad nothing to say", line)
		}
		t.Logf("second terminal:\n%s", shown)
	}
}
