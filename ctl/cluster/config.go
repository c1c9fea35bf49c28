package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"optimist/internal/pki"
)

// DefaultName is the cluster that commands mean when --name is not given.
const DefaultName = "optimist"

// Config is what a cluster is: cluster.json in its folder.
type Config struct {
	Name        string       `json:"name"`
	Sim         bool         `json:"sim,omitempty"`
	Nodes       []string     `json:"nodes"`
	Listen      string       `json:"listen,omitempty"` // the API server's address; "" = it is elsewhere:
	Server      string       `json:"server,omitempty"` // there, and the node here has joined it
	ClusterCIDR netip.Prefix `json:"clusterCIDR"`
	ServiceCIDR netip.Prefix `json:"serviceCIDR"`
	Bin         string       `json:"bin"` // where the component binaries are

	Subnet  netip.Prefix      `json:"subnet,omitzero"` // of the cluster's own link, with real nodes
	Members map[string]Member `json:"members,omitempty"`

	Open    string   `json:"open,omitempty"`    // the address at which other machines reach the API server; 0.0.0.0 = any of this machine's; "" = they do not
	SANs    []string `json:"sans,omitempty"`    // further names of this machine
	Cluster string   `json:"cluster,omitempty"` // its name where the API server is; "" = Name
	NodeIP  string   `json:"nodeIP,omitempty"`  // of a node that has joined; "" = found

	controllers []string // whose certificates up and start make sure of

	Root string `json:"-"` // what outlives a reboot
	Run  string `json:"-"` // sockets and namespaces
}

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$`)

// rootsRoot is where root's clusters are.
const rootsRoot = "/var/lib/optimist"

// base is the folder of all clusters of this user.
func base() (root, run string) {
	if os.Geteuid() == 0 {
		return rootsRoot, "/run/optimist"
	}
	data := os.Getenv("XDG_DATA_HOME")
	if data == "" {
		home, _ := os.UserHomeDir()
		data = filepath.Join(home, ".local", "share")
	}
	root = filepath.Join(data, "optimist")
	return root, root
}

// locate fills in the folders of a cluster.
func locate(name string) (Config, error) {
	if !validName.MatchString(name) {
		return Config{}, fmt.Errorf("--name %q: a cluster's name has at most 20 lower-case letters, digits and dashes", name)
	}
	root, run := base()
	return Config{Name: name, Root: filepath.Join(root, name), Run: filepath.Join(run, name)}, nil
}

// ErrNone is wrapped when a cluster does not exist.
var ErrNone = errors.New("no such cluster")

// Load reads a cluster's configuration.
func Load(name string) (Config, error) {
	c, err := locate(name)
	if err != nil {
		return c, err
	}
	return c.read()
}

func (c Config) read() (Config, error) {
	name := c.Name
	data, err := os.ReadFile(c.path("cluster.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("cluster %q: %w here (make one: ctl up --name %s%s%s)", name, ErrNone, name, others(), ofRoot(name))
	}
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, c.unreadable(err)
	}
	return c, c.complete()
}

// others names the clusters that there are.
func others() (hint string) {
	root, _ := base()
	files, _ := filepath.Glob(filepath.Join(root, "*", "cluster.json"))
	for _, f := range files {
		hint += " --name " + filepath.Base(filepath.Dir(f))
	}
	if hint != "" {
		hint = "; there are:" + hint
	}
	return hint
}

// ofRoot reminds a user that root has a cluster of that name.
func ofRoot(name string) string {
	if _, err := os.Lstat(filepath.Join(rootsRoot, name)); os.Geteuid() != 0 && !errors.Is(err, fs.ErrNotExist) {
		return "; perhaps you mean root's: use sudo"
	}
	return ""
}

func (c Config) unreadable(err error) error {
	return fmt.Errorf("%s cannot be used: %w (restore the file, or remove the cluster: ctl down --name %s)", c.path("cluster.json"), err, c.Name)
}

// complete reports what cluster.json lacks.
func (c Config) complete() error {
	var lacks []string
	for what, there := range map[string]bool{"nodes": len(c.Nodes) > 0, "listen": c.Listen+c.Server != "", "clusterCIDR": c.ClusterCIDR.IsValid(), "serviceCIDR": c.ServiceCIDR.IsValid(),
		"name (that of the folder)": c.Name == filepath.Base(c.Root)} {
		if !there {
			lacks = append(lacks, what)
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	slices.Sort(lacks)
	c.Name = filepath.Base(c.Root)
	return c.unreadable(fmt.Errorf("it lacks %s", strings.Join(lacks, ", ")))
}

// recovered is what can be told of a cluster without its cluster.json: enough to remove it.
func (c Config) recovered() Config {
	c.Name = filepath.Base(c.Root)
	_, err := os.Stat(c.path("containerd"))
	c.Sim = err != nil
	c.Nodes = nil
	agents, _ := filepath.Glob(c.path("agent-*"))
	for _, dir := range agents {
		c.Nodes = append(c.Nodes, strings.TrimPrefix(filepath.Base(dir), "agent-"))
	}
	if len(c.Nodes) == 0 {
		c.Nodes = nodeNames(1)
	}
	for _, node := range c.Nodes {
		if _, err := os.Stat(filepath.Join(namespaces, c.cgroup(node))); err == nil {
			c = c.with(node, Member{Address: netip.IPv4Unspecified()})
		}
	}
	c.Listen = "127.0.0.1:0"
	if a, err := pki.LoadKubeconfig(c.credential("node-"+c.Nodes[0]), ""); a.Server != "" && !c.authority() {
		c.Listen, c.Server, c.Cluster, _ = "", a.Server, a.Context, err
	}
	if !c.ClusterCIDR.IsValid() || !c.ServiceCIDR.IsValid() { // else the file, though it lacks something, says which addresses are the cluster's
		c.ClusterCIDR, c.ServiceCIDR = defaultRanges()[0][0], defaultRanges()[0][1]
	}
	return c
}

// List returns the clusters of this user by name. Folders that hold none are passed over.
func List() []Config {
	root, _ := base()
	entries, _ := os.ReadDir(root)
	var all []Config
	for _, e := range entries {
		if c, err := Load(e.Name()); err == nil {
			all = append(all, c)
		}
	}
	return all
}

func (c Config) save() error { return writeJSON(c.path("cluster.json"), c) }

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return pki.WriteFile(path, append(data, '\n'))
}

func (c Config) path(elem ...string) string {
	return filepath.Join(append([]string{c.Root}, elem...)...)
}

func (c Config) pki() string             { return c.path("pki") }
func (c Config) logFile(p string) string { return c.path("logs", p+".log") }
func (c Config) socket() string          { return filepath.Join(c.Run, "containerd.sock") }
func (c Config) exists() bool            { _, err := os.Stat(c.path("cluster.json")); return err == nil }

func (c Config) credential(who string) string { return filepath.Join(c.pki(), who+".kubeconfig") }

// kubeconfig is the best that this machine has: the administrator's, or that of the node which has joined.
func (c Config) kubeconfig() string {
	if c.Server != "" {
		return c.credential("node-" + c.Nodes[0])
	}
	return c.credential("admin")
}

// begun reports whether there is at least a folder of the cluster.
func (c Config) begun() bool { _, err := os.Stat(c.Root); return c.Root != "" && err == nil }

// authority reports whether the cluster's certificate authority is here, and so its API server, whatever cluster.json says.
func (c Config) authority() bool {
	_, err := os.Stat(filepath.Join(c.pki(), "ca.key"))
	return err == nil
}

// agentRoot is where a node's agent keeps what outlives it.
func (c Config) agentRoot(node string) string { return c.path("agent-" + node) }

// mkdirs makes both folders. Only their owner may look inside, for they hold keys.
func (c Config) mkdirs() error {
	for _, dir := range []string{c.Root, c.Run, c.path("logs"), c.pki()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the cluster's folder: %w", err)
		}
	}
	return nil
}
