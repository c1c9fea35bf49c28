#!/bin/bash
# Runs in the guest, as a systemd service: the demo on cgroup v2, then down, then nothing may be left.
set -euo pipefail
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cd /opt/optimist
finish() {
	code=$?
	if [ "$code" != 0 ]; then
		tail -n 15 /var/lib/optimist/*/logs/*.log 2>/dev/null || true
		ip address; ip route; ip neigh; nft list ruleset
		sysctl -a 2>/dev/null | grep -E 'rp_filter|ip_forward'
		echo "VMTEST FAILED ($code)"
	fi
	sync
	systemctl poweroff --force
}
trap finish EXIT
echo "guest: $(uname -r), systemd $(systemctl --version | head -n 1 | cut -d' ' -f2), cgroup $(stat -fc %T /sys/fs/cgroup), $(containerd --version | cut -d' ' -f3)"
e2e/real/snapshot.sh >/tmp/before
examples/demo.sh demo
[ "$(bin/ctl get pods -l app=web --no-headers | grep -c '1/1 *Running')" = 3 ]

echo "a container over its memory limit is killed, and says so"
bin/ctl apply -f e2e/vm/oom.yaml
for _ in $(seq 300); do
	bin/ctl get pod oom -o yaml | grep -q OOMKilled && break
	sleep 1
done
bin/ctl get pod oom -o yaml | grep -q 'reason: OOMKilled'

bin/ctl down --yes --name demo
e2e/real/snapshot.sh >/tmp/after
diff /tmp/before /tmp/after
echo "VMTEST OK"
