// Package real drives real clusters for tests and measurements: the built programs, containerd, and a network namespace of its own for each
// cluster, so that nothing of it meets the machine's network.
package real

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Cluster is a cluster under test. It is made by New and removed by Close.
type Cluster struct {
	Name       string
	Bin        string // folder of the built programs
	Kubeconfig string
	netns      string
	dir        string
}

// Top is the root of the checkout, seen from a package's folder below e2e.
const Top = "../.."

// New makes the ground for a cluster, without starting it: a network namespace whose only link leads nowhere, and a kubeconfig of its own.
func New(prefix string) (*Cluster, error) {
	bin, err := filepath.Abs(filepath.Join(Top, "bin"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(bin, "ctl")); err != nil {
		return nil, fmt.Errorf("%s is not built: run make build images first", bin)
	}
	dir, err := os.MkdirTemp("", "real-")
	if err != nil {
		return nil, err
	}
	name := prefix + strconv.FormatInt(time.Now().UnixNano()%1e6, 36) + strconv.Itoa(os.Getpid()%1000)
	c := &Cluster{Name: name, Bin: bin, Kubeconfig: filepath.Join(dir, "kubeconfig"), netns: "t-" + name, dir: dir}
	for _, args := range [][]string{
		{"netns", "add", c.netns},
		{"-n", c.netns, "link", "set", "lo", "up"},
		{"-n", c.netns, "link", "add", "outside", "type", "veth", "peer", "name", "nowhere"}, // swallows what would leave the node
		{"-n", c.netns, "address", "add", "172.31.255.1/24", "dev", "outside"},
		{"-n", c.netns, "link", "set", "outside", "up"}, {"-n", c.netns, "link", "set", "nowhere", "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("ip %v: %w: %s", args, err, out), c.Close())
		}
	}
	return c, nil
}

// Close removes the cluster and its ground.
func (c *Cluster) Close() error {
	_, err := c.Ctl("down", "--yes", "--name", c.Name)
	if err != nil && strings.Contains(err.Error(), "no such cluster") {
		err = nil
	}
	if out, e := exec.Command("ip", "netns", "del", c.netns).CombinedOutput(); e != nil && err == nil {
		err = fmt.Errorf("remove the network namespace: %w: %s", e, out)
	}
	os.RemoveAll(c.dir)
	return err
}

// Command runs a program inside the cluster's network namespace (but not in another mount namespace: containerd needs the real /sys).
func (c *Cluster) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=/run/netns/" + c.netns, program}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "SUDO_USER=")
	return cmd
}

// Ctl runs a ctl command line and returns what it printed. An error carries both.
func (c *Cluster) Ctl(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	return c.CtlContext(ctx, "", args...)
}

// CtlContext is Ctl with a limit and something on standard input.
func (c *Cluster) CtlContext(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := c.Command(ctx, filepath.Join(c.Bin, "ctl"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("ctl %s: %w\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// On is Command in the network namespace of one of several nodes.
func (c *Cluster) On(ctx context.Context, node, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=/run/netns/optimist-" + c.Name + "-" + node, program}, args...)...)
}

// Up starts the cluster, with further flags of `ctl up`, and loads the examples' images on all its nodes.
func (c *Cluster) Up(flags ...string) error {
	if _, err := c.Ctl(append([]string{"up", "--name", c.Name}, flags...)...); err != nil {
		return err
	}
	return c.LoadImages()
}

// LoadImages loads the examples' images on all nodes that there are.
func (c *Cluster) LoadImages() error {
	images, err := filepath.Glob(filepath.Join(c.Bin, "images", "*.tar"))
	if err != nil {
		return err
	}
	if len(images) == 0 {
		return fmt.Errorf("no images in %s/images: run make images first", c.Bin)
	}
	for _, image := range images {
		if _, err := c.Ctl("image", "load", image); err != nil {
			return err
		}
	}
	return nil
}

// Root is the cluster's folder.
func (c *Cluster) Root() string { return filepath.Join("/var/lib/optimist", c.Name) }

// PIDs are the cluster's processes by name, from the supervisor's own record, the supervisor among them.
func (c *Cluster) PIDs() (map[string]int, error) {
	data, err := os.ReadFile(filepath.Join(c.Root(), "processes.json"))
	if err != nil {
		return nil, err
	}
	var running map[string]struct{ PID int }
	if err := json.Unmarshal(data, &running); err != nil {
		return nil, err
	}
	pids := map[string]int{}
	for name, r := range running {
		pids[name] = r.PID
	}
	lock, err := os.ReadFile(filepath.Join(c.Root(), "supervisor.lock"))
	if err != nil {
		return nil, err
	}
	pids["supervisor"], err = strconv.Atoi(strings.TrimSpace(string(lock)))
	return pids, err
}

// Get is an HTTP GET to a pod, from the cluster's network namespace, which is the only node's.
func (c *Cluster) Get(address, path string) (string, error) { return get(c.Command, address, path) }

// From is Get from one of several nodes.
func (c *Cluster) From(node, address, path string) (string, error) {
	return get(func(ctx context.Context, program string, args ...string) *exec.Cmd {
		return c.On(ctx, node, program, args...)
	}, address, path)
}

func get(command func(context.Context, string, ...string) *exec.Cmd, address, path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	script := fmt.Sprintf(`exec 3<>/dev/tcp/%s/8080; printf 'GET %s HTTP/1.0\r\n\r\n' >&3; sed '1,/^\r*$/d' <&3`, address, path)
	out, err := command(ctx, "bash", "-c", script).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("GET %s%s: %w: %s", address, path, err, out)
	}
	return string(out), nil
}

// Eventually asks until ok says yes; it says what was so when the patience ran out.
func Eventually(patience time.Duration, ok func() (bool, string)) error {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		yes, is := ok()
		if yes {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not within %s: %s", patience, is)
		}
	}
}
