#!/bin/bash
# Runs in a guest: the demo on cgroup v2, then down, then nothing may be left.
set -euo pipefail
e2e/real/snapshot.sh >/tmp/before
examples/demo.sh demo
[ "$(ctl get pods -l app=web --no-headers | grep -c '1/1 *Running')" = 3 ]
ctl apply -f e2e/vm/oom.yaml
for _ in $(seq 300); do
	ctl get pod oom -o yaml | grep -q OOMKilled && break
	sleep 1
done
ctl get pod oom -o yaml | grep -q 'reason: OOMKilled'
ctl down --yes --name demo
e2e/real/snapshot.sh >/tmp/after
diff /tmp/before /tmp/after
