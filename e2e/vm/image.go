//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const packages = "systemd,systemd-sysv,udev,dbus,kmod,linux-image-cloud-amd64,initramfs-tools,containerd,runc,nftables,iproute2,procps"

// image is what all guests start from.
type image struct{ kernel, initrd, disk string }

// units are the guest's own services: one gives it its address, one obeys the commands that come through its port.
var units = map[string]string{
	"vmtest-net.service": `[Unit]
Before=network-pre.target network-online.target vmtest.service
Wants=network-pre.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/bash -c 'cp /etc/vmtest-resolv.conf /etc/resolv.conf; ip link set eth0 up; ip address replace $(cat /etc/vmtest-address 2>/dev/null || sed "s/.*vmtest.address=\\([^ ]*\\).*/\\1/" /proc/cmdline) dev eth0'
[Install]
WantedBy=multi-user.target
`,
	"vmtest.service": `[Unit]
After=vmtest-net.service dev-virtio\x2dports-vmtest.device
Wants=dev-virtio\x2dports-vmtest.device
[Service]
ExecStart=/bin/bash /opt/optimist/obey.sh
Restart=always
RestartSec=1
KillMode=process
[Install]
WantedBy=multi-user.target
`,
}

// obey runs one command a line: base64 in; base64 of what it printed and its exit code out.
const obey = `export HOME=/root PATH=/opt/optimist/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cd /opt/optimist
exec 3<>/dev/virtio-ports/vmtest
echo ready >&3
while read -r line <&3; do
	echo "$line" | base64 -d >/run/command
	code=0
	bash -o pipefail /run/command >/run/output 2>&1 </dev/null 3<&- || code=$?
	echo "$code $(base64 -w0 /run/output)" >&3
done
`

// build makes the disk with mmdebstrap and mke2fs.
func build(ctx context.Context, work string) (image, error) {
	root := filepath.Join(work, "root")
	var sources []string
	for _, pattern := range []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/*"} {
		found, _ := filepath.Glob(pattern)
		sources = append(sources, found...)
	}
	args := []string{"--quiet", "--variant=minbase", "--skip=cleanup/apt", "--include=" + packages, "bookworm", root}
	if err := command(ctx, "mmdebstrap", append(args, sources...)...); err != nil {
		return image{}, err
	}
	opt := filepath.Join(root, "opt", "optimist")
	files := map[string]string{
		filepath.Join(opt, "obey.sh"):                    obey,
		filepath.Join(root, "etc/fstab"):                 "/dev/vda / ext4 defaults 0 0\n",
		filepath.Join(root, "etc/machine-id"):            "",
		filepath.Join(root, "etc/vmtest-resolv.conf"):    "",
		filepath.Join(root, "etc/modules-load.d/v.conf"): "virtio_console\n",
	}
	for name, unit := range units {
		files[filepath.Join(root, "etc/systemd/system", name)] = unit
	}
	_ = os.Remove(filepath.Join(root, "etc/hostname")) // the kernel's command line has it
	if err := os.MkdirAll(opt, 0o755); err != nil {
		return image{}, err
	}
	for path, content := range files {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return image{}, err
		}
	}
	os.RemoveAll(filepath.Join(root, "var/cache/apt"))
	os.RemoveAll(filepath.Join(root, "var/lib/apt/lists"))
	disk := filepath.Join(work, "disk")
	for _, args := range [][]string{
		{"cp", "-r", "bin", "examples", "e2e", opt},
		{"chroot", root, "systemctl", "enable", "--quiet", "vmtest-net.service", "vmtest.service"},
		{"chroot", root, "systemctl", "mask", "--quiet", "containerd.service", "getty@tty1.service", "apt-daily.timer", "systemd-resolved.service"},
		{"mke2fs", "-q", "-t", "ext4", "-d", root, disk, "4G"},
	} {
		if err := command(ctx, args[0], args[1:]...); err != nil {
			return image{}, err
		}
	}
	kernels, _ := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*"))
	initrds, _ := filepath.Glob(filepath.Join(root, "boot/initrd.img-*"))
	if len(kernels) != 1 || len(initrds) != 1 {
		return image{}, fmt.Errorf("the disk has %d kernels and %d initrds", len(kernels), len(initrds))
	}
	return image{kernels[0], initrds[0], disk}, nil
}

func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
