package cluster

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"optimist/internal/pki"
)

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{"a": true, "demo-2": true, strings.Repeat("x", 20): true,
		"": false, "A": false, "-a": false, "a-": false, "a_b": false, "../x": false, "a/b": false, strings.Repeat("x", 21): false} {
		c, err := locate(name)
		if (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
		if good && len(c.socket()+".ttrpc") > 107 { // what a Unix socket's address holds
			t.Errorf("%s is too long for a socket", c.socket())
		}
	}
}

func TestRanges(t *testing.T) {
	other := Config{Name: "other", ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16")}
	simulated := other
	simulated.Sim = true
	vpn := []netip.Prefix{netip.MustParsePrefix("10.245.3.0/24")}
	everything := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, row := range []struct {
		name           string
		pods, services string
		others         []Config
		routes         []netip.Prefix
		want           string
	}{
		{"the first, when nothing is there", "", "", nil, nil, "10.244.0.0/16 10.96.0.0/16"},
		{"beside another cluster both move", "", "", []Config{other}, nil, "10.245.0.0/16 10.97.0.0/16"},
		{"a simulated one is in nobody's way", "", "", []Config{simulated}, nil, "10.244.0.0/16 10.96.0.0/16"},
		{"a route of the machine is avoided too", "", "", []Config{other}, vpn, "10.246.0.0/16 10.98.0.0/16"},
		{"what was asked for is taken, the other one moves", "172.16.0.0/16", "", []Config{other}, nil, "172.16.0.0/16 10.97.0.0/16"},
		{"asking for pods where the Services would be moves those", "10.96.0.0/16", "", nil, nil, "10.96.0.0/16 10.97.0.0/16"},
		{"both asked for", "172.16.0.0/16", "172.17.0.0/24", nil, nil, "172.16.0.0/16 172.17.0.0/24"},
		{"another cluster's is refused by its name", "10.244.128.0/24", "", []Config{other}, nil, `--cluster-cidr 10.244.128.0/24 overlaps with cluster "other" (10.244.0.0/16)`},
		{"a route's is refused", "", "10.245.0.0/16", nil, vpn, "--service-cidr 10.245.0.0/16 overlaps with a route of this machine (10.245.3.0/24)"},
		{"one in the other is refused", "172.16.0.0/16", "172.16.5.0/24", nil, nil, "--cluster-cidr 172.16.0.0/16 and --service-cidr 172.16.5.0/24 overlap"},
		{"no range at all", "pods", "", nil, nil, `--cluster-cidr "pods": want an IPv4 range`},
		{"too small a range", "", "10.0.0.0/28", nil, nil, `--service-cidr "10.0.0.0/28": want an IPv4 range`},
		{"a range that begins elsewhere", "10.1.2.0/16", "", nil, nil, `--cluster-cidr "10.1.2.0/16": want an IPv4 range`},
		{"the newer protocol", "fd00::/48", "", nil, nil, `--cluster-cidr "fd00::/48": want an IPv4 range`},
		{"nothing is free", "", "", nil, everything, "every default address range is in use here (the first by a route of this machine (10.0.0.0/8))"},
	} {
		pods, services, err := Wish{ClusterCIDR: row.pods, ServiceCIDR: row.services}.ranges(takenHere(row.others, row.routes))
		got := pods.String() + " " + services.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, row.want) {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}

func TestPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	used := l.Addr().(*net.TCPAddr).Port
	others := []Config{{Name: "first", Listen: "127.0.0.1:7001"}, {Name: "second", Listen: "127.0.0.1:6443"}}
	for _, row := range []struct {
		port int
		want string
	}{{used, "is in use"}, {7001, `belongs to cluster "first"`}, {-1, "want 1 to 65535"}, {70000, "want 1 to 65535"}} {
		if addr, err := (Wish{Port: row.port}).listen(others); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("--port %d: %s, %v; want %q", row.port, addr, err, row.want)
		}
	}
	if addr, err := (Wish{}).listen(others); err != nil || addr == others[1].Listen { // it is stopped perhaps, but shall have its port again
		t.Errorf("left open: %s, %v", addr, err)
	}
}

func TestClusterFiles(t *testing.T) {
	const good = `{"name":"a","nodes":["n1"],"listen":"127.0.0.1:1","clusterCIDR":"10.244.0.0/16","serviceCIDR":"10.96.0.0/16"}`
	for _, row := range []struct{ name, file, want string }{
		{"a good one", good, ""},
		{"garbage", "\x00\x01", "cluster.json cannot be used: invalid character"},
		{"nothing", "", "cluster.json cannot be used: unexpected end"},
		{"another's", strings.Replace(good, `"a"`, `"b"`, 1), "it lacks name (that of the folder)"},
		{"half of it", `{"name":"a","nodes":["n1"]}`, "it lacks clusterCIDR, listen, serviceCIDR"},
		{"an address that is none", strings.Replace(good, "10.244.0.0/16", "ten", 1), "cluster.json cannot be used: netip.ParsePrefix"},
	} {
		c := Config{Name: "a", Root: filepath.Join(t.TempDir(), "a")}
		if err := os.MkdirAll(c.path("agent-n7"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := pki.WriteFile(c.path("cluster.json"), []byte(row.file)); err != nil {
			t.Fatal(err)
		}
		c, err := c.read()
		switch {
		case row.want == "" && err != nil, row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		case err != nil && !strings.Contains(err.Error(), "ctl down --name a"):
			t.Errorf("%s: %v does not say what to do", row.name, err)
		}
		if r := c.recovered(); r.complete() != nil || r.Nodes[0] != "n7" || r.Name != "a" {
			t.Errorf("%s: recovered %+v", row.name, r)
		}
	}
}

// The lock says who is the supervisor, and goes with its process however that ends.
func TestLock(t *testing.T) {
	c := Config{Name: "a", Root: t.TempDir()}
	if pid := c.supervisor(); pid != 0 {
		t.Errorf("nobody ever was, yet it is %d", pid)
	}
	lock, err := c.lock()
	if err != nil {
		t.Fatal(err)
	}
	if pid := c.supervisor(); pid != os.Getpid() {
		t.Errorf("the supervisor is %d, not we", pid)
	}
	if _, err := c.lock(); err == nil || !strings.Contains(err.Error(), "has a supervisor already") {
		t.Errorf("a second lock: %v", err)
	}
	lock.Close()
	if pid := c.supervisor(); pid != 0 {
		t.Errorf("it is free, yet it is %d", pid)
	}
}

func TestFailure(t *testing.T) {
	c := Config{Name: "a", Root: t.TempDir()}
	if err := os.MkdirAll(c.path("logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := c.failure("apiserver"); err == nil || !strings.Contains(err.Error(), "supervisor ended") {
		t.Errorf("without a supervisor: %v", err)
	}
	lock, err := c.lock()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := pki.WriteFile(c.logFile("apiserver"), []byte("first\napiserver: the file is broken\n")); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, file, want string
	}{
		{"nothing noted", "", ""},
		{"garbage noted", "{", ""},
		{"it runs", `{"apiserver":{"PID":7}}`, ""},
		{"another died", `{"scheduler":{"Deaths":9,"Supervisor":PID}}`, ""},
		{"it died once", `{"apiserver":{"Deaths":1,"How":"exit status 1","Supervisor":PID}}`, ""},
		{"it died in an earlier life", `{"apiserver":{"Deaths":9,"How":"exit status 1","Supervisor":1}}`, ""},
		{"it dies again and again", `{"apiserver":{"Deaths":3,"How":"exit status 1","Supervisor":PID}}`, "apiserver cannot run (exit status 1)"},
	} {
		if err := pki.WriteFile(c.path("processes.json"), []byte(strings.ReplaceAll(row.file, "PID", strconv.Itoa(os.Getpid())))); err != nil {
			t.Fatal(err)
		}
		err := c.failure("apiserver")
		if (err != nil) != (row.want != "") || err != nil && (!strings.Contains(err.Error(), row.want) || !strings.HasSuffix(err.Error(), "\n  apiserver: the file is broken")) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
}

func TestIgnoredFlags(t *testing.T) {
	c := Config{Name: "a", Nodes: []string{"n1"}, Listen: "127.0.0.1:6443", ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16")}
	var said strings.Builder
	Wish{Nodes: 1, Port: 6443, ClusterCIDR: "10.244.0.0/16"}.tellIgnored(c, &said)
	if said.Len() > 0 {
		t.Errorf("what is so anyway: %s", said.String())
	}
	Wish{Sim: true, Nodes: 3, Port: 7000}.tellIgnored(c, &said)
	for _, flag := range []string{"--sim", "--nodes", "--port"} {
		if !strings.Contains(said.String(), flag+" changes nothing") {
			t.Errorf("%s is passed over in silence: %s", flag, said.String())
		}
	}
}

func TestNodesComeAndGo(t *testing.T) {
	c := Config{Name: "a", Subnet: netip.MustParsePrefix("10.87.3.0/24"), Nodes: []string{"n1", "n2"}}
	before := c
	c = c.admit("n1").admit("n2").admit("n3").with("n1", Member{Address: netip.MustParseAddr("10.87.3.2"), Cut: true})
	if got := strings.Join(c.Nodes, " "); got != "n1 n2 n3" || c.Members["n3"].Address.String() != "10.87.3.4" {
		t.Errorf("%s: %v", got, c.Members)
	}
	if c = c.without("n2").admit("x"); c.Members["x"].Address.String() != "10.87.3.3" || c.Members["n1"].Address.String() != "10.87.3.2" {
		t.Errorf("a freed address is used again, others stay: %v", c.Members)
	}
	if len(before.Nodes) != 2 || before.Members != nil {
		t.Errorf("what others hold was changed: %+v", before)
	}
	stopped := c.with("n1", Member{Address: c.Members["n1"].Address, Stopped: true})
	for _, row := range []struct {
		c                Config
		verb, node, want string
	}{
		{c, "add", "n4", ""},
		{c, "add", "n1", "is there already"},
		{c, "add", "b-n1", "lower-case letters and digits"},
		{c, "cut", "n9", `has no node "n9"; it has n1, n3, x`},
		{c, "start", "n1", "runs already"},
		{stopped, "stop", "n1", "does not run"},
		{stopped, "start", "n1", ""},
		{c.without("n1").without("n3"), "rm", "x", "ctl down --name a"},
		{before, "stop", "n1", ""},
		{before, "add", "n3", "this machine itself"},
		{before, "cut", "n1", "this machine itself"},
	} {
		if err := row.c.allows(row.verb, row.node); (err != nil) != (row.want != "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s %s: %v, want %q", row.verb, row.node, err, row.want)
		}
	}
	if long := (Config{Name: strings.Repeat("x", 20)}); len(long.bridge()) > 15 || len(long.port(strings.Repeat("y", 20))) > 15 {
		t.Error("the kernel's names of links have at most 15 characters")
	}
}

func TestSubnet(t *testing.T) {
	used := takenHere([]Config{{Name: "other", Subnet: netip.MustParsePrefix("10.87.0.0/24")}}, []netip.Prefix{netip.MustParsePrefix("10.87.1.128/25")})
	if p, err := subnet(used); err != nil || p.String() != "10.87.2.0/24" {
		t.Errorf("got %s, %v", p, err)
	}
	if _, err := subnet(append(used, taken{netip.MustParsePrefix("10.0.0.0/8"), "a tunnel"})); err == nil || !strings.Contains(err.Error(), "in use by") {
		t.Errorf("got %v", err)
	}
}
