package pki

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// Access is what one context of a kubeconfig says: where the API server is, how to know it, and who we are.
type Access struct {
	Context       string
	Namespace     string // the context's default namespace; "" = default
	User          string // the entry's name in the file
	Server        string // host:port
	ServerName    string // the name to expect in the server's certificate; "" = the host
	CA, Cert, Key []byte // PEM
	Token         string // instead of Cert and Key
	File          string // where this was read, for messages
}

// The parts of a kubeconfig that Optimist knows; https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/.
type (
	kubeconfig struct {
		APIVersion     string  `json:"apiVersion"`
		Kind           string  `json:"kind"`
		Clusters       []entry `json:"clusters"`
		Contexts       []entry `json:"contexts"`
		CurrentContext string  `json:"current-context"`
		Users          []entry `json:"users"`
	}
	entry struct { // of any of the lists: a name, and what has it
		Name    string  `json:"name"`
		Cluster cluster `json:"cluster,omitzero"`
		User    user    `json:"user,omitzero"`
		Context binding `json:"context,omitzero"`
	}
	cluster struct {
		Server     string `json:"server"`
		ServerName string `json:"tls-server-name,omitempty"`
		CAData     []byte `json:"certificate-authority-data,omitempty"`
		CAFile     string `json:"certificate-authority,omitempty"`
	}
	user struct {
		CertData []byte `json:"client-certificate-data,omitempty"`
		CertFile string `json:"client-certificate,omitempty"`
		KeyData  []byte `json:"client-key-data,omitempty"`
		KeyFile  string `json:"client-key,omitempty"`
		Token    string `json:"token,omitempty"`
	}
	binding struct {
		Cluster   string `json:"cluster"`
		User      string `json:"user"`
		Namespace string `json:"namespace,omitempty"`
	}
)

// LoadKubeconfig reads a context ("" = the current one) of a kubeconfig file. Its errors name the file and say what to do.
func LoadKubeconfig(path, context string) (Access, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Access{}, fmt.Errorf("there is no kubeconfig %s: make a cluster (ctl up), or name the file with --kubeconfig", path)
	}
	if err != nil {
		return Access{}, err
	}
	a, err := parse(data, context, filepath.Dir(path))
	a.File = path
	if err != nil {
		return a, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	return a, a.Check(time.Now())
}

// ParseKubeconfig reads a context ("" = the current one) of a kubeconfig without touching any file.
func ParseKubeconfig(data []byte, context string) (Access, error) { return parse(data, context, "") }

func parse(data []byte, context, dir string) (Access, error) {
	var k kubeconfig
	if err := yaml.Unmarshal(data, &k); err != nil {
		return Access{}, fmt.Errorf("cannot be read: %w", err)
	}
	if context == "" {
		context = k.CurrentContext
	}
	ctx, ok := find(k.Contexts, context)
	if !ok {
		return Access{}, noContext(k, context)
	}
	c, ok := find(k.Clusters, ctx.Context.Cluster)
	if !ok {
		return Access{}, fmt.Errorf("context %q names the cluster %q, which is not in the file", context, ctx.Context.Cluster)
	}
	u, ok := find(k.Users, ctx.Context.User)
	if !ok {
		return Access{}, fmt.Errorf("context %q names the user %q, which is not in the file", context, ctx.Context.User)
	}
	return access(ctx, c.Cluster, u.User, dir)
}

func find(all []entry, name string) (entry, bool) {
	for _, e := range all {
		if e.Name == name {
			return e, true
		}
	}
	return entry{}, false
}

func noContext(k kubeconfig, context string) error {
	var have []string
	for _, e := range k.Contexts {
		have = append(have, e.Name)
	}
	if len(have) == 0 {
		return errors.New("there is no cluster in it: make one (ctl up), or name another file with --kubeconfig")
	}
	if context == "" {
		return fmt.Errorf("no context is set: choose one of %q with --context", have)
	}
	return fmt.Errorf("there is no context %q, but %q", context, have)
}

func access(ctx entry, c cluster, u user, dir string) (Access, error) {
	server, ok := strings.CutPrefix(c.Server, "https://")
	if !ok {
		return Access{}, fmt.Errorf("cluster %q: the server is %q, but must be https://host:port", ctx.Context.Cluster, c.Server)
	}
	a := Access{Context: ctx.Name, Namespace: ctx.Context.Namespace, User: ctx.Context.User,
		Server: strings.TrimSuffix(server, "/"), ServerName: c.ServerName, Token: u.Token}
	var err [3]error
	a.CA, err[0] = dataOr(c.CAData, c.CAFile, dir)
	a.Cert, err[1] = dataOr(u.CertData, u.CertFile, dir)
	a.Key, err[2] = dataOr(u.KeyData, u.KeyFile, dir)
	return a, errors.Join(err[:]...)
}

// dataOr returns what is embedded, or else the named file's content.
func dataOr(data []byte, file, dir string) ([]byte, error) {
	if len(data) > 0 || file == "" || dir == "" {
		return data, nil
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	return os.ReadFile(file)
}

// Check finds out whether these credentials can work at all at a time.
func (a Access) Check(now time.Time) error {
	if len(a.Cert) == 0 && a.Token != "" && len(a.CA) > 0 {
		return nil // the server knows how long a token is good for
	}
	if len(a.Cert) == 0 || len(a.CA) == 0 {
		return fmt.Errorf("kubeconfig %s: context %q has no client certificate (nor token) or no certificate authority; Optimist knows users by these: use the kubeconfig that `ctl up` wrote", a.File, a.Context)
	}
	pair, err := tls.X509KeyPair(a.Cert, a.Key)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: the certificate of user %q cannot be read: %w; `ctl start` writes it anew when you remove the file", a.File, a.User, err)
	}
	if now.After(pair.Leaf.NotAfter) {
		return fmt.Errorf("kubeconfig %s: the certificate of %q expired on %s: renew it where the cluster is: ctl certs renew, or ctl stop, ctl start",
			a.File, pair.Leaf.Subject.CommonName, pair.Leaf.NotAfter.Format(time.DateTime))
	}
	return nil
}

// Kubeconfig is a file with this access as its only and current context.
func (a Access) Kubeconfig() ([]byte, error) {
	c, u, x := a.entries()
	return yaml.Marshal(kubeconfig{APIVersion: "v1", Kind: "Config", Clusters: []entry{c}, Users: []entry{u}, Contexts: []entry{x},
		CurrentContext: a.Context})
}

func (a Access) entries() (c, u, x entry) {
	return entry{Name: a.Context, Cluster: cluster{Server: "https://" + a.Server, ServerName: a.ServerName, CAData: a.CA}},
		entry{Name: a.User, User: user{CertData: a.Cert, KeyData: a.Key, Token: a.Token}},
		entry{Name: a.Context, Context: binding{Cluster: a.Context, User: a.User, Namespace: a.Namespace}}
}

// Contexts is what a kubeconfig offers to choose from.
type Contexts struct {
	Current string
	All     []Context
}

// Context binds a cluster, a user and a namespace under a name.
type Context struct{ Name, Cluster, User, Namespace, Server string }

// ReadContexts reads what a kubeconfig offers; one that does not exist offers nothing.
func ReadContexts(path string) (Contexts, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Contexts{}, nil
	}
	var k kubeconfig
	if err == nil {
		err = yaml.Unmarshal(data, &k)
	}
	if err != nil {
		return Contexts{}, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	c := Contexts{Current: k.CurrentContext}
	for _, x := range k.Contexts {
		at, _ := find(k.Clusters, x.Context.Cluster)
		c.All = append(c.All, Context{x.Name, x.Context.Cluster, x.Context.User, x.Context.Namespace, at.Cluster.Server})
	}
	return c, nil
}

// Find returns a context by name; "" means the current one.
func (c Contexts) Find(name string) (Context, bool) {
	if name == "" {
		name = c.Current
	}
	for _, x := range c.All {
		if x.Name == name {
			return x, true
		}
	}
	return Context{}, false
}

// SetCurrent makes a context the current one.
func SetCurrent(path, context string) error {
	return edit(path, func(d document) error { return d.set(current, context) })
}

// SetNamespace sets the namespace that a context begins in.
func SetNamespace(path, context, namespace string) error {
	return edit(path, func(d document) error {
		all, err := d.list(contexts)
		for _, e := range all {
			if e.Name == context {
				var entry, body document
				return errors.Join(json.Unmarshal(e.raw, &entry), json.Unmarshal(entry["context"], &body), body.set("namespace", namespace),
					entry.set("context", body), d.put(contexts, context, entry))
			}
		}
		return err
	})
}
