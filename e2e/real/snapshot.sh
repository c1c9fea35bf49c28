#!/bin/sh
# Prints what a cluster could leave behind: run it before `up` and after `down`; both must be equal.
# Processes of others come and go on a busy machine, so only those with our names or files count.
PATH=$PATH:/usr/sbin:/sbin
echo "== processes"; ps -eo args= | grep -E 'optimist|containerd-shim|/bin/(apiserver|scheduler|controllers|agent|logger) ' | grep -v -e defunct -e grep -e snapshot -e '^tail' | sort
echo "== mounts"; cut -d' ' -f5 /proc/self/mountinfo | sort
echo "== network namespaces"; ls /run/netns 2>/dev/null
echo "== links"; ip -o link | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | sort
echo "== routes"; ip route show table all type unicast 2>/dev/null | grep -v '^\(fe80\|ff00\|::1\)' | sed 's/ linkdown//' | sort; ip route show type blackhole; ip rule
echo "== nft"; command -v nft >/dev/null && nft list tables
echo "== forwarding"; cat /proc/sys/net/ipv4/ip_forward
echo "== cgroups"; find /sys/fs/cgroup -type d -name '*optimist*' 2>/dev/null
echo "== files"; ls -d /var/lib/optimist /run/optimist /run/containerd/runc /run/containerd/s /etc/cni/net.d "$HOME/.kube/config" 2>/dev/null
echo "== runtime"; ls -d /run/containerd/runc/*optimist* 2>/dev/null
echo "== sockets"; ls /run/containerd/s 2>/dev/null | wc -l
echo "== loop and shm"; ls /dev/shm; ls /tmp | grep -i optimist
exit 0
