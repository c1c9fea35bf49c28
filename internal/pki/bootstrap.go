package pki

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"optimist/internal/api"
)

// Bootstrap says for whom Run makes credentials.
type Bootstrap struct {
	Cluster     string   // the name of the cluster: also the kubeconfigs' context
	Server      string   // host:port, as the components reach it
	NodeServer  string   // the same, as nodes do; "" = Server
	Hosts       []string // further names and addresses that the API server's certificate is good for
	Nodes       []string
	Controllers []string
	Life        time.Duration // of certificates; 0 = a year
	Renew       bool          // makes all certificates anew, but the CA
}

// AdminUser is whom admin.kubeconfig speaks for.
const AdminUser = "kubernetes-admin"

// credential is a kubeconfig to be: for whom, in which file.
type credential struct {
	file, server string
	Subject
}

func (o Bootstrap) credentials() []credential {
	all := []credential{
		{"admin.kubeconfig", o.Server, Subject{AdminUser, []string{api.GroupMasters}}},
		{"scheduler.kubeconfig", o.Server, Subject{Name: api.UserScheduler}},
		{"controllers.kubeconfig", o.Server, Subject{Name: api.UserControllers}},
	}
	for _, c := range o.Controllers {
		all = append(all, credential{"controller-" + c + ".kubeconfig", o.Server, Subject{Name: api.ControllerPrefix + c}})
	}
	for _, n := range o.Nodes {
		all = append(all, credential{"node-" + n + ".kubeconfig", cmp.Or(o.NodeServer, o.Server), Subject{api.NodePrefix + n, []string{api.GroupNodes}}})
	}
	return all
}

// Run makes what is missing in dir and what is expired, nearly so, or no longer fits; it leaves the rest alone.
func (o Bootstrap) Run(dir string) error {
	ca, err := EnsureCA(dir)
	if err != nil {
		return err
	}
	if err := o.server(dir, ca); err != nil {
		return err
	}
	for _, c := range o.credentials() {
		if err := o.kubeconfig(filepath.Join(dir, c.file), ca, c); err != nil {
			return err
		}
	}
	return errors.Join(syncFolder(dir), syncFolder(filepath.Dir(dir))) // also what another start, which was killed, has made
}

// everywhere is what every API server is called, on its own machine and by pods.
var everywhere = []string{"localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}

func (o Bootstrap) server(dir string, ca *CA) error {
	crt, key := filepath.Join(dir, "apiserver.crt"), filepath.Join(dir, "apiserver.key")
	hosts := slices.DeleteFunc(append(slices.Clone(everywhere), o.Hosts...), func(name string) bool { return name == "" })
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	pair, err := LoadPair(crt, key)
	if err == nil && !o.Renew && ca.fresh(pair.Leaf) && serves(pair.Leaf, hosts) {
		return nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	certPEM, keyPEM, err := ca.Issue(Subject{Name: api.UserAPIServer}, hosts, cmp.Or(o.Life, certLife))
	if err != nil {
		return err
	}
	return writePair(crt, key, certPEM, keyPEM)
}

func (o Bootstrap) kubeconfig(path string, ca *CA, c credential) error {
	old, err := os.ReadFile(path)
	if err == nil && !o.Renew && o.fits(old, ca, c) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	certPEM, keyPEM, err := ca.Issue(c.Subject, nil, cmp.Or(o.Life, certLife))
	if err != nil {
		return err
	}
	return Access{Context: o.Cluster, User: c.Name, Server: c.server, CA: ca.PEM, Cert: certPEM, Key: keyPEM}.Write(path)
}

// fits reports whether a kubeconfig of ours needs no change. One that cannot be read does.
func (o Bootstrap) fits(old []byte, ca *CA, c credential) bool {
	a, err := ParseKubeconfig(old, "")
	if err != nil || a.Server != c.server || a.Context != o.Cluster || string(a.CA) != string(ca.PEM) {
		return false
	}
	pair, err := tls.X509KeyPair(a.Cert, a.Key)
	return err == nil && ca.fresh(pair.Leaf) && pair.Leaf.Subject.CommonName == c.Name && slices.Equal(pair.Leaf.Subject.Organization, c.Groups)
}

// fresh reports whether a certificate is this CA's and has at least a third of its life before it.
func (ca *CA) fresh(c *x509.Certificate) bool {
	return c.CheckSignatureFrom(ca.Cert) == nil && time.Now().Before(Due(c))
}

// Due is when a certificate of ours is to be renewed: when a third of its life is left.
func Due(c *x509.Certificate) time.Time {
	return c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore.Add(backdate)) / 3)
}

func serves(c *x509.Certificate, hosts []string) bool {
	return !slices.ContainsFunc(hosts, func(h string) bool { return c.VerifyHostname(h) != nil })
}
