package real

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Before there is a cluster: what this machine or user lacks is named, and nothing is made.
func TestNotEven(t *testing.T) {
	needsRoot(t)
	c, err := New("n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	ctl := filepath.Join(c.Bin, "ctl")
	for _, row := range []struct {
		name  string
		argv  []string
		words []string
	}{
		{"without containerd", []string{"env", "PATH=/nonexistent", ctl, "up", "--name", c.Name}, []string{"containerd", "not found", "apt install containerd", "--sim"}},
		{"without root", user(t.TempDir(), ctl, "up", "--name", c.Name), []string{"need root", "ctl up --sim"}},
		{"where nothing can be written", user("/proc", ctl, "up", "--sim", "--name", c.Name), []string{"mkdir /proc/data", "make the cluster's folder"}},
		{"with a name that is too long", []string{ctl, "up", "--name", strings.Repeat("x", 21)}, []string{"at most 20"}},
		{"with a name that leads elsewhere", []string{ctl, "up", "--name", "../x"}, []string{"--name", "lower-case letters"}},
		{"with too many real nodes", []string{ctl, "up", "--nodes", "21", "--name", c.Name}, []string{"--nodes 21", "1 to 20", "--sim"}},
		{"start of what is not there", []string{ctl, "start", "--name", c.Name}, []string{"no such cluster", "ctl up --name " + c.Name}},
	} {
		t.Run(row.name, func(t *testing.T) {
			out, err := c.Command(t.Context(), row.argv[0], row.argv[1:]...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("%v (want exit status 1)", err)
			}
			says(t, string(out), row.words...)
			if _, err := os.Stat(c.Root()); err == nil {
				t.Error("it made", c.Root())
			}
		})
	}
}

// user is a command line as somebody else than root types it, on a machine without containerd.
func user(home string, argv ...string) []string {
	return append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
		"env", "-u", "KUBECONFIG", "HOME=" + home, "XDG_DATA_HOME=" + home + "/data", "PATH=/nonexistent"}, argv...)
}

// Without root, without containerd: the example all the same, simulated.
func TestNewcomer(t *testing.T) {
	needsRoot(t) // to become somebody else
	c, err := New("s")
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "home-")
	if err != nil {
		t.Fatal(err)
	}
	ctl := func(args ...string) string {
		t.Helper()
		argv := user(home, append([]string{filepath.Join(c.Bin, "ctl")}, args...)...)
		out, err := c.Command(t.Context(), argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("ctl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	t.Cleanup(func() {
		os.RemoveAll(home)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	config := filepath.Join(home, ".kube", "config")
	const foreign = "apiVersion: v1\nkind: Config\nclusters:\n- {name: work, cluster: {server: \"https://work\"}}\ncontexts:\n- {name: work, context: {cluster: work, user: me}}\ncurrent-context: work\nusers:\n- {name: me, user: {token: t}}\n"
	if err := errors.Join(os.Mkdir(filepath.Dir(config), 0o700), os.WriteFile(config, []byte(foreign), 0o600),
		os.Chmod(home, 0o755), os.Chown(home, 65534, 65534), os.Chown(filepath.Dir(config), 65534, 65534), os.Chown(config, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	manifest, err := filepath.Abs(web)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ctl("up", "--sim")
	ctl("apply", "-f", manifest)
	ctl("rollout", "status", "deployment/web")
	t.Logf("from nothing to the example Ready: %.2f s", time.Since(began).Seconds())

	says(t, read(t, config), "https://work", "token: t", "name: work", "current-context: optimist")
	says(t, ctl("up", "--sim"), "runs already", "nothing to do")
	says(t, ctl("stop"), "its data stays")
	says(t, ctl("stop"), "does not run")
	says(t, ctl("up"), "is up") // no --sim: it knows what it is
	ctl("rollout", "status", "deployment/web")
	says(t, ctl("get", "pods"), "web-")
	says(t, ctl("down", "--yes"), "is gone")
	if now := read(t, config); strings.Contains(now, "optimist") || !strings.Contains(now, "token: t") {
		t.Errorf("the kubeconfig after down:\n%s", now)
	}
	if left, _ := filepath.Glob(home + "/data/*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Under sudo the kubeconfig goes to who called sudo, and is theirs. (The user is one that only this test's mount namespace knows.)
func TestSudo(t *testing.T) {
	needsRoot(t)
	c, err := New("u")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	passwd := filepath.Join(home, "passwd")
	put(t, passwd, []byte("root:x:0:0::/root:/bin/sh\nsailor:x:4321:4322::"+home+":/bin/sh\n"))
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	script := `set -e
mount --bind ` + passwd + ` /etc/passwd
unset KUBECONFIG
export SUDO_USER=sailor
"$0" up --sim --name "$1"
stat -c '%u:%g %a %n' "$2/.kube" "$2/.kube/config"
"$0" down --yes --name "$1"`
	out, err := c.Command(t.Context(), "unshare", "--mount", "sh", "-c", script, filepath.Join(c.Bin, "ctl"), c.Name, home).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	says(t, string(out), "4321:4322 700 "+home+"/.kube\n", "4321:4322 600 "+home+"/.kube/config\n", "is gone")
}
