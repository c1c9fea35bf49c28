package pki

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"optimist/internal/api"
)

var cluster1 = Bootstrap{Cluster: "one", Server: "127.0.0.1:6443", Hosts: []string{"localhost", "127.0.0.1"}, Nodes: []string{"n1"}, Controllers: []string{"deployment"}}

func bootstrap(t *testing.T, dir string, o Bootstrap) map[string]string {
	t.Helper()
	if err := o.Run(dir); err != nil {
		t.Fatal(err)
	}
	return files(t, dir)
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(data)
	}
	return all
}

func TestBootstrapMakesEverybodysCredentials(t *testing.T) {
	dir := t.TempDir()
	bootstrap(t, dir, cluster1)
	for file, want := range map[string]api.User{
		"admin.kubeconfig":                 {Name: AdminUser, Groups: []string{api.GroupMasters}},
		"scheduler.kubeconfig":             {Name: "system:scheduler"},
		"controllers.kubeconfig":           {Name: "system:controllers"},
		"controller-deployment.kubeconfig": {Name: "system:controller:deployment"},
		"node-n1.kubeconfig":               {Name: "system:node:n1", Groups: []string{api.GroupNodes}},
	} {
		a, err := LoadKubeconfig(filepath.Join(dir, file), "")
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(a.Cert, a.Key)
		if err != nil {
			t.Fatal(err)
		}
		subject := pair.Leaf.Subject
		if subject.CommonName != want.Name || strings.Join(subject.Organization, ",") != strings.Join(want.Groups, ",") {
			t.Errorf("%s speaks for %s of %v", file, subject.CommonName, subject.Organization)
		}
		if a.Server != "127.0.0.1:6443" || a.Context != "one" {
			t.Errorf("%s: server %s, context %s", file, a.Server, a.Context)
		}
		if info, _ := os.Stat(filepath.Join(dir, file)); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", file, info.Mode())
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(a.CA)
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestBootstrapAgain(t *testing.T) {
	for _, row := range []struct {
		name    string
		meddle  func(t *testing.T, dir string, o *Bootstrap)
		changed []string
	}{
		{"changes nothing when all is well", func(*testing.T, string, *Bootstrap) {}, nil},
		{"adds a further node only", func(_ *testing.T, _ string, o *Bootstrap) { o.Nodes = []string{"n1", "n2"} }, []string{"node-n2.kubeconfig"}},
		{"issues the server's certificate for a new address", func(_ *testing.T, _ string, o *Bootstrap) { o.Hosts = append(o.Hosts, "10.0.0.1") },
			[]string{"apiserver.crt", "apiserver.key"}},
		{"writes a garbled kubeconfig anew", func(t *testing.T, dir string, _ *Bootstrap) {
			if err := os.WriteFile(filepath.Join(dir, "scheduler.kubeconfig"), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"scheduler.kubeconfig"}},
		{"replaces a certificate with less than a third of its life left", func(t *testing.T, dir string, o *Bootstrap) {
			age(t, dir, o, "node-n1.kubeconfig", Subject{Name: "system:node:n1", Groups: []string{api.GroupNodes}}, time.Hour)
		}, []string{"node-n1.kubeconfig"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir, o := t.TempDir(), cluster1
			bootstrap(t, dir, o)
			row.meddle(t, dir, &o)
			before := files(t, dir)
			after := bootstrap(t, dir, o)
			var changed []string
			for _, f := range []string{"admin.kubeconfig", "apiserver.crt", "apiserver.key", "ca.crt", "ca.key", "controller-deployment.kubeconfig",
				"controllers.kubeconfig", "node-n1.kubeconfig", "node-n2.kubeconfig", "scheduler.kubeconfig"} {
				if before[f] != after[f] {
					changed = append(changed, f)
				}
			}
			if strings.Join(changed, " ") != strings.Join(row.changed, " ") {
				t.Errorf("changed %v, want %v", changed, row.changed)
			}
		})
	}
}

// age replaces a kubeconfig by one whose certificate has only `left` to live.
func age(t *testing.T, dir string, o *Bootstrap, file string, s Subject, left time.Duration) {
	t.Helper()
	ca, err := EnsureCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	old := template(pkix.Name{CommonName: s.Name, Organization: s.Groups}, left)
	old.NotBefore = old.NotBefore.Add(-3 * left)
	cert, key, err := ca.sign(old)
	if err != nil {
		t.Fatal(err)
	}
	data, err := Access{Context: o.Cluster, User: s.Name, Server: o.Server, CA: ca.PEM, Cert: cert, Key: key}.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTroubleWithKubeconfigs(t *testing.T) {
	dir, o := t.TempDir(), cluster1
	bootstrap(t, dir, o)
	path := filepath.Join(dir, "admin.kubeconfig")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, content, context, says string
	}{
		{"a garbled file", "]", "", "cannot be read"},
		{"an empty file", "", "", "make one (ctl up)"},
		{"a context that is not there", string(good), "two", `there is no context "two", but ["one"]`},
		{"a server without TLS", strings.Replace(string(good), "https", "http", 1), "", "must be https://host:port"},
		{"a user without certificate", strings.Replace(string(good), "client-certificate-data", "x", 1), "", "has no client certificate"},
		{"a garbled certificate", strings.Replace(string(good), "client-certificate-data: ", "client-certificate-data: AAAA", 1), "", "cannot be read"},
	} {
		if err := os.WriteFile(path, []byte(row.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadKubeconfig(path, row.context)
		if err == nil || !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v\nshould name %s and say %q", row.name, err, path, row.says)
		}
	}
	age(t, dir, &o, "admin.kubeconfig", Subject{Name: AdminUser}, -time.Minute)
	if _, err := LoadKubeconfig(path, ""); err == nil || !strings.Contains(err.Error(), "expired") || !strings.Contains(err.Error(), path) {
		t.Errorf("an expired certificate: %v", err)
	}
}

func TestHalfACAIsRefused(t *testing.T) {
	dir := t.TempDir()
	bootstrap(t, dir, cluster1)
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if err := cluster1.Run(dir); err == nil || !strings.Contains(err.Error(), "ca.key") || !strings.Contains(err.Error(), "backup") {
		t.Errorf("got %v", err)
	}
}

// A first start that is killed, or loses its power, between the CA's key and its certificate leaves the key alone. Nobody trusts it yet.
func TestFirstStartBrokenOff(t *testing.T) {
	whole, dir := t.TempDir(), t.TempDir()
	bootstrap(t, whole, cluster1)
	key, err := os.ReadFile(filepath.Join(whole, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	bootstrap(t, dir, cluster1)
	if err := os.Remove(filepath.Join(dir, "ca.crt")); err != nil { // now somebody does
		t.Fatal(err)
	}
	if err := cluster1.Run(dir); err == nil || !strings.Contains(err.Error(), "ca.crt") || !strings.Contains(err.Error(), "backup") {
		t.Errorf("got %v", err)
	}
}
