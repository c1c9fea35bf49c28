package doctor

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	corev1 "k8s.io/api/core/v1"
)

// healthy is a machine with nothing to mend; rows of the table make it sick.
func healthy() (Machine, map[string]string) {
	files := map[string]string{
		"proc/sys/kernel/osrelease":                        "6.1.0-57-cloud-amd64",
		"lib/modules/6.1.0-57-cloud-amd64/modules.builtin": "kernel/drivers/net/veth.ko\nkernel/net/bridge/bridge.ko",
		"lib/modules/6.1.0-57-cloud-amd64/modules.dep":     "kernel/drivers/net/vxlan/vxlan.ko.xz:\nkernel/fs/overlayfs/overlay.ko:\nkernel/net/netfilter/nf_tables.ko:",
		"sys/fs/cgroup/cgroup.controllers":                 "cpuset cpu io memory pids",
		"proc/sys/fs/inotify/max_user_instances":           "1024",
		"proc/sys/fs/inotify/max_user_watches":             "524288",
		"etc/resolv.conf":                                  "nameserver 192.0.2.53",
	}
	return Machine{Has: func(p string) bool { return p != "docker" && p != "ufw" }, Listen: func(string, string) error { return nil },
		Firewall: func() ([]string, error) { return nil, nil }, Root: true, Free: 10 << 30, Hostname: "n1", Pods: "10.244.0.0/16"}, files
}

func TestMachine(t *testing.T) {
	for _, row := range []struct {
		sentence string
		sick     func(m *Machine, files map[string]string)
		name     string // of the finding
		state    State
		says     string
		mend     string
	}{
		{"a good machine", func(*Machine, map[string]string) {}, "kernel", OK, "6.1.0", ""},
		{"an old kernel", func(_ *Machine, f map[string]string) { f["proc/sys/kernel/osrelease"] = "5.3.0" }, "kernel", Bad, "too old", "from 5.4 on"},
		{"a kernel of letters", func(_ *Machine, f map[string]string) { f["proc/sys/kernel/osrelease"] = "what" }, "kernel", Bad, "too old", ""},
		{"a slim kernel", func(_ *Machine, f map[string]string) { f["lib/modules/6.1.0-57-cloud-amd64/modules.dep"] = "overlay" }, "modules", Bad, "lacks overlay, vxlan", "linux-image"},
		{"modules unknown, but loaded", func(_ *Machine, f map[string]string) {
			f["proc/sys/kernel/osrelease"], f["proc/filesystems"] = "6.2", "nodev\toverlay"
			for _, m := range []string{"veth", "vxlan", "bridge"} {
				f["sys/module/"+m+"/refcnt"] = "1"
			}
		}, "modules", OK, "overlay", ""},
		{"v2 without memory", func(_ *Machine, f map[string]string) { f["sys/fs/cgroup/cgroup.controllers"] = "cpu pids" }, "cgroups", Bad, "v2 without memory", "cgroup_enable=memory"},
		{"v1", func(_ *Machine, f map[string]string) {
			delete(f, "sys/fs/cgroup/cgroup.controllers")
			f["proc/cgroups"] = "#subsys\nmemory\t1\t2\t1\ncpu\t1\t2\t1\npids\t1\t2\t1\n"
		}, "cgroups", OK, "v1", ""},
		{"nothing installed", func(m *Machine, _ map[string]string) { m.Has = func(string) bool { return false } }, "programs", Bad, "containerd", "apt install containerd runc"},
		{"another VXLAN", func(m *Machine, _ map[string]string) {
			m.Listen = func(network, _ string) error {
				return map[string]error{"udp": errors.New("address already in use")}[network]
			}
		}, "ports", Warn, "4789/udp", "ss -lunp"},
		{"our own VXLAN", func(m *Machine, _ map[string]string) {
			m.Node, m.Listen = true, func(string, string) error { return errors.New("in use") }
		}, "ports", OK, "", ""},
		{"few inotify instances", func(_ *Machine, f map[string]string) { f["proc/sys/fs/inotify/max_user_instances"] = "128" }, "inotify", Warn, "128", "sysctl -w"},
		{"no time server", func(m *Machine, _ map[string]string) { m.Unsynced = true }, "clock", Warn, "nobody", "timesyncd"},
		{"full disk", func(m *Machine, _ map[string]string) { m.Free = 1 << 30 }, "disk", Bad, "1024 MiB", "2 GiB"},
		{"an impossible name", func(m *Machine, _ map[string]string) { m.Hostname = "My_PC" }, "name", Warn, "My_PC", "hostnamectl"},
		{"a stub resolver alone", func(_ *Machine, f map[string]string) { f["etc/resolv.conf"] = "nameserver 127.0.0.53" }, "dns", Warn, "loopback", "/etc/resolv.conf"},
		{"a stub resolver that tells", func(_ *Machine, f map[string]string) {
			f["etc/resolv.conf"], f["run/systemd/resolve/resolv.conf"] = "nameserver 127.0.0.53", "nameserver 192.0.2.1"
		}, "dns", OK, "192.0.2.1", ""},
		{"Docker", func(m *Machine, _ map[string]string) {
			m.Has, m.Firewall = func(string) bool { return true }, func() ([]string, error) { return []string{"ip filter"}, nil }
		}, "firewall", Bad, "ip filter", "DOCKER-USER -s 10.244.0.0/16"},
		{"ufw", func(m *Machine, f map[string]string) {
			m.Has, m.Firewall = func(string) bool { return true }, func() ([]string, error) { return []string{"ip filter"}, nil }
			f["etc/ufw/ufw.conf"] = "ENABLED=yes"
		}, "firewall", Bad, "", "ufw route allow"},
		{"firewalld", func(m *Machine, _ map[string]string) {
			m.Firewall = func() ([]string, error) { return []string{"inet firewalld"}, nil }
		}, "firewall", Bad, "", "firewall-cmd"},
		{"a user", func(m *Machine, _ map[string]string) { m.Root = false }, "root", Warn, "not root", "sudo"},
	} {
		m, files := healthy()
		row.sick(&m, files)
		fs := fstest.MapFS{}
		for path, content := range files {
			fs[path] = &fstest.MapFile{Data: []byte(content)}
		}
		m.Files = fs
		for _, f := range m.Check() {
			if f.Name == row.name && (f.State != row.state || !strings.Contains(f.Says, row.says) || !strings.Contains(f.Mend, row.mend) || (f.State == OK) != (f.Mend == "")) {
				t.Errorf("%s: %+v", row.sentence, f)
			}
			if row.state == OK && f.State != OK {
				t.Errorf("%s: %+v", row.sentence, f)
			}
		}
	}
}

func TestJudge(t *testing.T) {
	for _, row := range []struct {
		sentence string
		answers  map[string]Answers
		want     []string // a part of each finding
	}{
		{"all is well", map[string]Answers{"n1": {}, "n2": {}}, []string{"pods on 2 nodes reach each other"}},
		{"one fault of a pair is named once, the worst", map[string]Answers{"n1": {"n2/udp": "timeout", "n2/mtu": "timeout"}, "n2": {"n1/udp": "timeout"}}, []string{"no UDP between pods on n1 and n2"}},
		{"only large packets", map[string]Answers{"n1": {}, "n2": {"n1/mtu": "1422 bytes: timeout"}}, []string{"packets of full size get lost between pods on n1 and n2"}},
		{"a node's own part", map[string]Answers{"n1": {"dns": "no such host", "service/tcp": "refused"}, "n2": {"n2/tcp": "refused"}},
			[]string{"on n2 and n2", "Service's address", "pods on n1 names don't resolve"}},
		{"what is wrong everywhere is said once", map[string]Answers{"n1": {"api": "timeout"}, "n2": {"api": "timeout"}}, []string{"pods on n1, n2 the API server"}},
	} {
		got := judge(row.answers)
		for i := range max(len(got), len(row.want)) {
			if i >= len(got) || i >= len(row.want) || !strings.Contains(got[i].Says, row.want[i]) {
				t.Errorf("%s: %+v, want %q", row.sentence, got, row.want)
				break
			}
		}
	}
}

func TestNodes(t *testing.T) {
	node := func(name string, cs ...corev1.NodeCondition) *corev1.Node {
		n := &corev1.Node{Status: corev1.NodeStatus{Conditions: cs}}
		n.Name = name
		return n
	}
	findings, ready := judgeNodes([]*corev1.Node{
		node("n1", corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue}),
		node("n2", corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Message: "silent"}),
		node("n3"),
		node("n4", corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue},
			corev1.NodeCondition{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue, Message: "no peer answers"}),
	})
	var out bytes.Buffer
	if bad := Print(&out, findings); bad != 3 || strings.Join(ready, " ") != "n1 n4" {
		t.Errorf("%d bad, ready %v:\n%s", bad, ready, out.String())
	}
}

// Two pods on one machine, which is what a pod asks of itself: everything of Serve and Ask but DNS and the API server.
func TestServeAndAsk(t *testing.T) {
	ctx := t.Context()
	served := make(chan error, 1)
	go func() { served <- Serve(ctx) }()
	var got Answers
	for range 50 { // until it listens
		if got = Ask(ctx, Questions{Pods: map[string]string{"n1": "127.0.0.1", "n2": "127.0.0.1"}, Service: "127.0.0.1", Name: "localhost"}); len(got) == 1 { // there is no API server
			break
		}
		select {
		case err := <-served:
			t.Skipf("NOT TESTED: %v", err) // the port is in use here
		default:
		}
	}
	for _, check := range []string{"n1/tcp", "n1/udp", "n2/tcp", "n2/udp", "service/tcp", "service/udp", "dns"} {
		if got[check] != "" {
			t.Errorf("%s: %s", check, got[check])
		}
	}
}

func TestImageIsOfItsContent(t *testing.T) {
	var archive, other bytes.Buffer
	name, err := layout(&archive, []byte("program"))
	again, err2 := layout(&other, []byte("another"))
	if err != nil || err2 != nil || name == again || !strings.HasPrefix(name, "docker.io/optimist/doctor:") {
		t.Fatalf("%q %v, %q %v", name, err, again, err2)
	}
	files := tar.NewReader(&archive)
	for blobs := 0; ; {
		h, err := files.Next()
		if err == io.EOF {
			if blobs != 3 {
				t.Errorf("%d blobs", blobs)
			}
			break
		}
		data, err2 := io.ReadAll(files)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if digest, ok := strings.CutPrefix(h.Name, "blobs/sha256/"); ok {
			blobs++
			if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != digest {
				t.Errorf("%s has another content", h.Name)
			}
		}
	}
}
