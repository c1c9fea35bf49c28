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
)

// DefaultName is the cluster that commands mean when --name is not given.
const DefaultName = "optimist"

// Config is what a cluster is: cluster.json in its folder.
type Config struct {
	Name        string       `json:"name"`
	Sim         bool         `json:"sim,omitempty"`
	Nodes       []string     `json:"nodes"`
	Listen      string       `json:"listen"` // the API server's address
	ClusterCIDR netip.Prefix `json:"clusterCIDR"`
	ServiceCIDR netip.Prefix `json:"serviceCIDR"`
	Bin         string       `json:"bin"` // where the component binaries are

	controllers []string // whose certificates up and start make sure of

	Root string `json:"-"` // what outlives a reboot
	Run  string `json:"-"` // sockets and namespaces
}

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$`)

// base is the folder of all clusters of this user.
func base() (root, run string) {
	if os.Geteuid() == 0 {
		return "/var/lib/optimist", "/run/optimist"
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
	data, err := os.ReadFile(c.path("cluster.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("cluster %q: %w here (make one: ctl up --name %s)", name, ErrNone, name)
	}
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("%s: %w (remove the cluster with ctl down --name %s)", c.path("cluster.json"), err, name)
	}
	return c, nil
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

func (c Config) save() error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(c.path("cluster.json"), append(data, '\n'))
}

func (c Config) path(elem ...string) string {
	return filepath.Join(append([]string{c.Root}, elem...)...)
}

func (c Config) pki() string             { return c.path("pki") }
func (c Config) kubeconfig() string      { return filepath.Join(c.pki(), "admin.kubeconfig") }
func (c Config) logFile(p string) string { return c.path("logs", p+".log") }
func (c Config) socket() string          { return filepath.Join(c.Run, "containerd.sock") }
func (c Config) exists() bool            { _, err := os.Stat(c.path("cluster.json")); return err == nil }

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

// writeFile replaces a file at once or not at all.
func writeFile(path string, data []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// defaultRanges are tried in this order, so that clusters side by side do not meet.
func defaultRanges() (ranges [][2]netip.Prefix) {
	for i := range byte(10) {
		ranges = append(ranges, [2]netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244 + i, 0, 0}), 16),
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 96 + i, 0, 0}), 16),
		})
	}
	return ranges
}

// freeRanges returns the first pair of default ranges that no other cluster here and none of the machine's routes uses.
func freeRanges(others []Config, routes []netip.Prefix) (pods, services netip.Prefix, err error) {
	used := slices.Clone(routes)
	for _, o := range others {
		used = append(used, o.ClusterCIDR, o.ServiceCIDR)
	}
	for _, r := range defaultRanges() {
		if !slices.ContainsFunc(used, func(u netip.Prefix) bool { return u.Overlaps(r[0]) || u.Overlaps(r[1]) }) {
			return r[0], r[1], nil
		}
	}
	return pods, services, errors.New("every default address range is in use here; name free ones with --cluster-cidr and --service-cidr")
}
