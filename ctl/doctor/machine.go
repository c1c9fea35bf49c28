package doctor

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Machine is what there is to know about a machine. Here fills in the one that this process runs on.
type Machine struct {
	Files    fs.FS                     // what lies below /
	Has      func(program string) bool // in PATH
	Listen   func(network, addr string) error
	Firewall func() ([]string, error) // the tables ("ip filter") whose forward chain drops by default, and firewalld's
	Unsynced bool                     // nobody sets the clock
	Root     bool                     // we may look and do everything
	Free     uint64                   // bytes, where clusters keep their data
	Hostname string
	Node     bool   // a cluster runs here already: its ports are ours
	Pods     string // the pods' range, for rules
}

func (m Machine) read(path string) string {
	data, _ := fs.ReadFile(m.Files, path)
	return strings.TrimSpace(string(data))
}

// Check looks at everything.
func (m Machine) Check() (all []Finding) {
	for _, c := range []struct {
		name  string
		check func(Machine) Finding
	}{
		{"root", Machine.root}, {"kernel", Machine.kernel}, {"modules", Machine.modules}, {"cgroups", Machine.cgroups}, {"programs", Machine.programs},
		{"ports", Machine.ports}, {"inotify", Machine.inotify}, {"clock", Machine.clock}, {"disk", Machine.disk}, {"name", Machine.named},
		{"dns", Machine.dns}, {"firewall", Machine.firewall},
	} {
		f := c.check(m)
		f.Name = c.name
		all = append(all, f)
	}
	return all
}

func (m Machine) root() Finding {
	if !m.Root {
		return Finding{Warn, "", "not root: some checks see less, and real containers need root", "sudo ctl doctor; or ctl up --sim for simulated containers"}
	}
	return Finding{Says: "root"}
}

var oldest = [2]int{5, 4} // the oldest kernel on which all was tried or is documented to work: nftables' concatenated maps, time in sets, pidfd

func (m Machine) kernel() Finding {
	release := m.read("proc/sys/kernel/osrelease")
	var major, minor int
	_, err := fmt.Sscanf(release, "%d.%d", &major, &minor)
	if err != nil || major < oldest[0] || major == oldest[0] && minor < oldest[1] {
		return Finding{Bad, "", fmt.Sprintf("Linux %s is too old", release), fmt.Sprintf("use a kernel from %d.%d on", oldest[0], oldest[1])}
	}
	return Finding{Says: "Linux " + release}
}

// modules: what is neither in the kernel nor can be loaded. Where there is no list (in a container), nothing can be said.
func (m Machine) modules() Finding {
	dir := "lib/modules/" + m.read("proc/sys/kernel/osrelease") + "/"
	known := m.read(dir+"modules.builtin") + "\n" + m.read(dir+"modules.dep")
	missing := slices.DeleteFunc([]string{"overlay", "veth", "vxlan", "bridge", "nf_tables"}, func(name string) bool {
		_, err := fs.Stat(m.Files, "sys/module/"+name)
		loaded := err == nil || slices.Contains(strings.Fields(m.read("proc/filesystems")), name)
		if name == "nf_tables" && m.Root {
			_, err := m.Firewall()
			loaded = loaded || err == nil // it answers
		}
		return loaded || strings.Contains(known, "/"+name+".ko")
	})
	switch {
	case len(missing) > 0 && known == "\n":
		return Finding{Warn, "", "cannot tell whether the kernel has " + strings.Join(missing, ", "), "there is no list of modules in /" + dir}
	case len(missing) > 0:
		return Finding{Bad, "", "the kernel lacks " + strings.Join(missing, ", "), "install the distribution's full kernel (Debian: linux-image-amd64; Ubuntu: linux-modules-extra-$(uname -r))"}
	}
	return Finding{Says: "overlay, veth, vxlan, nf_tables, bridge"}
}

func (m Machine) cgroups() Finding {
	version, has := "v2", strings.Fields(m.read("sys/fs/cgroup/cgroup.controllers"))
	if len(has) == 0 {
		version = "v1"
		for line := range strings.Lines(m.read("proc/cgroups")) {
			if f := strings.Fields(line); len(f) == 4 && f[3] == "1" {
				has = append(has, f[0])
			}
		}
	}
	missing := slices.DeleteFunc([]string{"cpu", "memory", "pids"}, func(c string) bool { return slices.Contains(has, c) })
	if len(missing) > 0 {
		return Finding{Bad, "", fmt.Sprintf("cgroup %s without %s", version, strings.Join(missing, ", ")),
			"add cgroup_enable=memory (and systemd.unified_cgroup_hierarchy=1) to the kernel's command line and reboot"}
	}
	return Finding{Says: "cgroup " + version + ": cpu, memory, pids"}
}

func (m Machine) programs() Finding {
	if missing, packages := Missing(m.Has); missing != "" {
		return Finding{Bad, "", missing + " not found", "apt install " + packages}
	}
	return Finding{Says: "containerd, runc"}
}

// Missing are the programs that a real node runs and a machine has not, and the Debian packages that bring them.
func Missing(has func(program string) bool) (programs, packages string) {
	var lacks, bring []string
	for _, p := range [][2]string{{"containerd", "containerd"}, {"containerd-shim-runc-v2", "containerd"}, {"runc", "runc"}, {"nsenter", "util-linux"}} {
		if !has(p[0]) {
			lacks, bring = append(lacks, p[0]), append(bring, p[1])
		}
	}
	return strings.Join(lacks, ", "), strings.Join(slices.Compact(bring), " ")
}

func (m Machine) ports() Finding {
	if m.Node {
		return Finding{Says: "a cluster runs here"}
	}
	for _, p := range []struct{ network, port, what, mend string }{
		{"udp", "4789", "VXLAN, which carries pods' packets between networks", "end what listens there (ss -lunp sport = 4789): Docker Swarm, another VXLAN"},
		{"tcp", "6443", "the API server", "ctl up takes the next free one by itself; or name one with --port"},
	} {
		if err := m.Listen(p.network, ":"+p.port); err != nil {
			return Finding{Warn, "", fmt.Sprintf("port %s/%s (%s): %v", p.port, p.network, p.what, err), p.mend}
		}
	}
	return Finding{Says: "6443/tcp and 4789/udp are free"}
}

func (m Machine) inotify() Finding {
	instances, _ := strconv.Atoi(m.read("proc/sys/fs/inotify/max_user_instances"))
	watches, _ := strconv.Atoi(m.read("proc/sys/fs/inotify/max_user_watches"))
	if instances < 512 || watches < 65536 {
		return Finding{Warn, "", fmt.Sprintf("%d instances, %d watches a user: programs in pods run out of them first (\"too many open files\")", instances, watches),
			"sysctl -w fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=524288 (and in /etc/sysctl.d, to stay)"}
	}
	return Finding{Says: fmt.Sprintf("%d instances, %d watches", instances, watches)}
}

func (m Machine) clock() Finding {
	if m.Unsynced {
		return Finding{Warn, "", "nobody sets the clock: certificates and tokens of machines whose clocks differ are refused", "apt install systemd-timesyncd (or chrony)"}
	}
	return Finding{Says: "set by a time server"}
}

func (m Machine) disk() Finding {
	if m.Free < 2<<30 {
		return Finding{Bad, "", fmt.Sprintf("%d MiB free in /var/lib: images and logs need more", m.Free>>20), "make room, at least 2 GiB"}
	}
	return Finding{Says: fmt.Sprintf("%d GiB free in /var/lib", m.Free>>30)}
}

func (m Machine) named() Finding {
	if ok, _ := regexp.MatchString(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`, m.Hostname); !ok || m.Hostname == "localhost" {
		return Finding{Warn, "", fmt.Sprintf("the host's name %q can't be a node's", m.Hostname), "hostnamectl hostname NAME (small letters, digits, -), or join with --node-name"}
	}
	return Finding{Says: m.Hostname}
}

// dns: a resolver that only this machine reaches is of no use to pods, unless systemd-resolved tells whom it asks.
func (m Machine) dns() Finding {
	for _, path := range []string{"etc/resolv.conf", "run/systemd/resolve/resolv.conf"} {
		for line := range strings.Lines(m.read(path)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" && !strings.HasPrefix(f[1], "127.") && f[1] != "::1" {
				return Finding{Says: "names outside the cluster by " + f[1]}
			}
		}
	}
	return Finding{Warn, "", "no name server but loopback: pods can't resolve names outside of the cluster", "name a real one in /etc/resolv.conf"}
}

// firewall: in nftables any chain's drop is final, so a rule of ours can't overrule it.
func (m Machine) firewall() Finding {
	tables, err := m.Firewall()
	switch {
	case err != nil:
		return Finding{Warn, "", fmt.Sprintf("cannot be read: %v", err), "sudo ctl doctor"}
	case len(tables) == 0:
		return Finding{Says: "lets packets pass from link to link"}
	}
	pods, rules := m.Pods, ""
	switch {
	case slices.Contains(tables, "inet firewalld"):
		rules = "firewall-cmd --permanent --zone=trusted --add-source=" + pods + "\nfirewall-cmd --permanent --add-port=4789/udp --add-port=6443/tcp && firewall-cmd --reload"
	case m.Has("ufw") && strings.Contains(m.read("etc/ufw/ufw.conf"), "ENABLED=yes"):
		rules = "ufw route allow from " + pods + "; ufw route allow to " + pods + "\nufw allow 4789/udp; ufw allow 6443/tcp"
	case m.Has("docker"):
		rules = "iptables -I DOCKER-USER -s " + pods + " -j ACCEPT; iptables -I DOCKER-USER -d " + pods + " -j ACCEPT"
	default:
		rules = "iptables -I FORWARD -s " + pods + " -j ACCEPT; iptables -I FORWARD -d " + pods + " -j ACCEPT"
	}
	return Finding{Bad, "", "drops what is forwarded (" + strings.Join(tables, ", ") + "): pods reach nothing and nobody reaches them", rules}
}
