#!/usr/bin/env bash
# The demo in a virtual machine made from Debian's packages: systemd, cgroup v2, its own kernel; software emulation, so it runs anywhere.
# Needs root (for mmdebstrap), QEMU and the built programs (`make vmtest` sees to that).
set -euo pipefail
cd "$(dirname "$0")/../.."
for tool in qemu-system-x86_64 mmdebstrap mke2fs; do
	command -v $tool >/dev/null || {
		echo "SKIPPED: vmtest needs $tool, which is not installed" >&2
		exit 0
	}
done
work=$(mktemp -d /var/tmp/optimist-vm.XXXXXX)
trap 'rm -rf "$work"' EXIT
echo "building the guest …"
sources=$(find /etc/apt/sources.list /etc/apt/sources.list.d -type f 2>/dev/null || true)
# shellcheck disable=SC2086
mmdebstrap --quiet --variant=minbase --skip=cleanup/apt \
	--include=systemd,systemd-sysv,udev,kmod,linux-image-cloud-amd64,initramfs-tools,containerd,runc,nftables,iproute2,procps \
	bookworm "$work/root" $sources 2>"$work/log" || {
	cat "$work/log" >&2
	exit 1
}
rm -rf "$work"/root/var/cache/apt "$work"/root/var/lib/apt/lists
mkdir -p "$work/root/opt/optimist"
cp -r bin examples e2e "$work/root/opt/optimist/"
cat >"$work/root/etc/systemd/system/vmtest.service" <<'UNIT'
[Unit]
Description=Optimist's demo
After=containerd.service
[Service]
Type=oneshot
ExecStart=/bin/bash /opt/optimist/e2e/vm/inside.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity
[Install]
WantedBy=multi-user.target
UNIT
chroot "$work/root" systemctl enable --quiet vmtest.service
chroot "$work/root" systemctl mask --quiet containerd.service serial-getty@ttyS0.service getty@tty1.service apt-daily.timer
echo /dev/vda / ext4 defaults 0 0 >"$work/root/etc/fstab"
echo guest >"$work/root/etc/hostname"
kernel=$(echo "$work"/root/boot/vmlinuz-*)
initrd=$(echo "$work"/root/boot/initrd.img-*)
mke2fs -q -t ext4 -d "$work/root" "$work/disk" 4G
echo "starting the guest (its kernel takes about half a minute under emulation) …"
timeout "${VMTEST_TIMEOUT:-1500}" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 2048 -nographic -no-reboot -nic none \
	-kernel "$kernel" -initrd "$initrd" -append "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=false net.ifnames=0" \
	-drive "file=$work/disk,if=virtio,format=raw,cache=unsafe" </dev/null | tee "$work/console"
grep -q '^VMTEST OK' "$work/console"
