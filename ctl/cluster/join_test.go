package cluster

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"optimist/internal/pki"
)

func TestTickets(t *testing.T) {
	good := Ticket{Server: "10.0.0.1:6443", Token: "abcdef.0123456789abcdef", Hash: "sha256:" + strings.Repeat("0a", 32), Node: "boat-7.example"}
	for _, row := range []struct {
		name   string
		change func(*Ticket)
		want   string
	}{
		{"a good one", func(*Ticket) {}, ""},
		{"with an address", func(t *Ticket) { t.NodeIP = "10.0.0.7" }, ""},
		{"no port", func(t *Ticket) { t.Server = "10.0.0.1" }, `"10.0.0.1" is no HOST:PORT`},
		{"no host", func(t *Ticket) { t.Server = ":6443" }, `":6443" is no HOST:PORT`},
		{"no such port", func(t *Ticket) { t.Server = "10.0.0.1:66443" }, `"10.0.0.1:66443" is no HOST:PORT`},
		{"no token", func(t *Ticket) { t.Token = "" }, "--token must be ID.SECRET"},
		{"a token in capitals", func(t *Ticket) { t.Token = strings.ToUpper(t.Token) }, "--token must be ID.SECRET"},
		{"no hash", func(t *Ticket) { t.Hash = "" }, "--ca-hash must be"},
		{"half a hash", func(t *Ticket) { t.Hash = t.Hash[:40] }, "--ca-hash must be"},
		{"a name that is none", func(t *Ticket) { t.Node = "A b" }, `--node-name "A b"`},
		{"a name that is too long", func(t *Ticket) { t.Node = strings.Repeat("x", 41) }, "--node-name"},
		{"an address that is none", func(t *Ticket) { t.NodeIP = "::1" }, `--node-ip "::1" is no IPv4 address`},
	} {
		ticket := good
		row.change(&ticket)
		err := ticket.check()
		if (err == nil) != (row.want == "") || err != nil && (!strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), ticket.Token) && ticket.Token != "") {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
}

// How an API server is started that other machines reach, and one that they do not.
func TestDoors(t *testing.T) {
	shut := Config{Name: "a", Listen: "127.0.0.1:7", ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16"), Subnet: netip.MustParsePrefix("10.87.0.0/24")}
	for _, row := range []struct {
		name       string
		wish       Wish
		want, lack string
	}{
		{"shut", Wish{}, "--host 127.0.0.1 --listen 127.0.0.1:7 --listen 10.87.0.1:7", "--join-host"},
		{"at one address", Wish{Open: "192.0.2.7"}, "--host 127.0.0.1 --listen 127.0.0.1:7 --listen 192.0.2.7:7 --listen 10.87.0.1:7 --host 192.0.2.7 --join-host 192.0.2.7", "--advertise-address"},
		{"with names", Wish{Open: "192.0.2.7", SANs: []string{"boat", "sea"}}, "--listen 10.87.0.1:7 --host boat --join-host boat --host sea --host 192.0.2.7", "--join-host 192"},
		{"names alone open nothing", Wish{SANs: []string{"boat"}}, "--listen 10.87.0.1:7 --host boat", "--join-host"},
		{"at all addresses", Wish{Open: "0.0.0.0", SANs: []string{"boat"}}, "--host 127.0.0.1 --listen 0.0.0.0:7 --host boat --join-host boat", "--listen 127.0.0.1"},
	} {
		c := shut
		c.Open, row.wish.Open = row.wish.Open, "" // an address that this machine does not have
		c, err := row.wish.open(c)
		if got := strings.Join(c.serverFlags(), " "); err != nil || !strings.Contains(got, row.want) || strings.Contains(got, row.lack) || !strings.Contains(got, "--host 10.87.0.1") { // as nodes in namespaces call it
			t.Errorf("%s: %s (%v)", row.name, got, err)
		}
		if again, err := row.wish.open(c); err != nil || len(again.SANs) != len(c.SANs) {
			t.Errorf("%s, twice: %+v, %v", row.name, again, err)
		}
	}
	for _, w := range []Wish{{Open: "127.0.0.1"}, {Open: "::"}, {Open: "boat"}, {Open: "0.0.0.0", Sim: true}} {
		if _, err := w.open(shut); err == nil || !strings.Contains(err.Error(), "--listen "+w.Open+": want an IPv4 address of this machine other than loopback") {
			t.Errorf("%+v: %v", w, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, name := range []string{"", "bad name", "-x"} {
		if _, err := (Wish{SANs: []string{name}}).open(Config{}); err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("--san %q: ", name)) {
			t.Error(name, err)
		}
	}
	for _, w := range []Wish{{Open: "0.0.0.0"}, {SANs: []string{"boat"}}} {
		if _, err := w.open(Config{Server: "boat:6443", Cluster: "there"}); err == nil || !strings.Contains(err.Error(), "elsewhere (boat:6443)") {
			t.Errorf("on a node that has joined, %+v: %v", w, err)
		}
	}
}

func TestOpenRefusesForeignAddresses(t *testing.T) {
	if _, err := (Wish{Open: "192.0.2.7"}).open(Config{}); err == nil || !strings.HasPrefix(err.Error(), "--listen 192.0.2.7: ") {
		t.Error(err)
	}
	if c, err := (Wish{Open: "0.0.0.0"}).open(Config{}); err != nil || c.Open != "0.0.0.0" {
		t.Error(c, err)
	}
}

// On a machine that has joined run containerd and an agent, under the name that the cluster has where its API server is.
func TestJoinedProcesses(t *testing.T) {
	c := Config{Name: "here", Root: "/r/here", Run: "/run/here", Server: "boat:6443", Cluster: "there", Nodes: []string{"b"}, NodeIP: "10.0.0.7"}
	var names []string
	for _, p := range c.processes() {
		names = append(names, p.name)
		if p.server != "" {
			t.Errorf("%s waits for %s, which may be far away", p.name, p.server)
		}
	}
	argv := strings.Join(c.processes()[len(names)-1].argv, " ")
	for _, want := range []string{"--kubeconfig /r/here/pki/node-b.kubeconfig", "--cluster there", "--node-ip 10.0.0.7", "--node b"} {
		if !strings.Contains(argv, want) {
			t.Errorf("%s lacks %s", argv, want)
		}
	}
	if got := strings.Join(names, " "); got != "containerd agent-b" || c.cgroup("b") != "optimist-there-b" {
		t.Errorf("%s, %s", got, c.cgroup("b"))
	}
	checks := c.checks()
	if len(checks) != 2 || checks[0].name != "containerd" || checks[1].name != "agent-b" {
		t.Errorf("%+v", checks)
	}
}

// What a join was killed in, or somebody has damaged, is known for a node's by its kubeconfig.
func TestRecoveredNode(t *testing.T) {
	c := Config{Name: "a", Root: filepath.Join(t.TempDir(), "a")}
	for _, dir := range []string{"pki", "agent-b", "containerd"} {
		if err := os.MkdirAll(c.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if r := c.recovered(); r.Server != "" || r.complete() != nil {
		t.Errorf("without a kubeconfig: %+v", r)
	}
	if err := (pki.Access{Context: "there", User: "system:node:b", Server: "boat:6443", CA: []byte("x"), Cert: []byte("x"), Key: []byte("x")}).Write(c.path("pki", "node-b.kubeconfig")); err != nil {
		t.Fatal(err)
	}
	if r := c.recovered(); r.Server != "boat:6443" || r.Cluster != "there" || r.Listen != "" || r.Sim || r.complete() != nil {
		t.Errorf("with one: %+v", r)
	}
	if err := pki.WriteFile(c.path("pki", "ca.key"), nil); err != nil {
		t.Fatal(err)
	}
	if r := c.recovered(); r.Server != "" || r.Listen == "" {
		t.Errorf("with the CA's key: %+v", r)
	}
}

// A systemd of shell: it writes down what it is told.
func TestUnit(t *testing.T) {
	real := systemd
	t.Cleanup(func() { systemd = real })
	dir := t.TempDir()
	systemd = manager{units: dir, runs: filepath.Join(dir, "runs")}
	if err := systemd.check(); err == nil || !strings.Contains(err.Error(), "systemd does not run this machine") {
		t.Errorf("without systemd: %v", err)
	}
	log := filepath.Join(dir, "log")
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte("#!/bin/sh\necho \"$@\" >>"+log+"\ncase \"$*\" in *broken*) echo no such unit >&2; exit 5;; esac\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	c := Config{Name: "boat", Root: filepath.Join(dir, "boat")}
	if err := c.uninstall(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := c.install(); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "optimist-boat.service"))
	for _, line := range []string{`" supervise --name boat`, "KillMode=process", "Delegate=yes", "Restart=always", "After=network-online.target", "Wants=network-online.target", "WantedBy=multi-user.target",
		"TimeoutStopSec=130", `Environment="PATH=` + dir} {
		if !strings.Contains(string(text), line) || err != nil {
			t.Errorf("the unit lacks %s (%v):\n%s", line, err, text)
		}
	}
	if err := c.end(0); err != nil {
		t.Error(err)
	}
	if err := c.uninstall(); err != nil || c.hasUnit() {
		t.Error(err)
	}
	want := "daemon-reload\nenable optimist-boat.service\ndaemon-reload\nenable optimist-boat.service\nstop optimist-boat.service\ndisable --now optimist-boat.service\ndaemon-reload\n"
	if said, _ := os.ReadFile(log); string(said) != want {
		t.Errorf("it was told\n%s", said)
	}
	c.Name = "broken"
	if err := c.install(); err == nil || !strings.Contains(err.Error(), "systemctl enable optimist-broken.service: exit status 5: no such unit") {
		t.Error(err)
	}
}
