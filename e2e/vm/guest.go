//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// segment is a network namespace with a bridge that leads nowhere.
type segment string

func (s segment) make() error {
	ctx := context.Background()
	err := command(ctx, "ip", "netns", "add", string(s))
	for _, args := range [][]string{{"link", "add", "vmbr", "type", "bridge"}, {"link", "set", "vmbr", "up"}} {
		err = errors.Join(err, command(ctx, "ip", append([]string{"-n", string(s)}, args...)...))
	}
	return err
}

func (s segment) remove() error {
	return command(context.Background(), "ip", "netns", "del", string(s))
}

func (s segment) tap(name string) error {
	ctx := context.Background()
	_ = command(ctx, "ip", "-n", string(s), "link", "del", name)
	return errors.Join(command(ctx, "ip", "-n", string(s), "tuntap", "add", name, "mode", "tap"),
		command(ctx, "ip", "-n", string(s), "link", "set", name, "master", "vmbr", "up"))
}

// guest is one virtual machine.
type guest struct {
	number  int
	image   image
	segment segment
	work    string
	qemu    *exec.Cmd
	port    net.Conn
	lines   *bufio.Reader
}

func (g *guest) String() string  { return "n" + strconv.Itoa(g.number) }
func (g *guest) address() string { return "10.77.0." + strconv.Itoa(g.number) }

// on starts the machine; its disk is as it was left.
func (g *guest) on(ctx context.Context) error {
	disk, socket := g.work+".disk", g.work+".sock"
	if _, err := os.Stat(disk); err != nil {
		if err := command(ctx, "cp", "--sparse=always", g.image.disk, disk); err != nil {
			return err
		}
	}
	if err := g.segment.tap(g.String()); err != nil {
		return err
	}
	_ = os.Remove(socket)
	args := strings.Fields("--net=/run/netns/" + string(g.segment) + " qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 1 -m 1536 -display none -monitor none")
	args = append(args, "-kernel", g.image.kernel, "-initrd", g.image.initrd,
		"-append", fmt.Sprintf("root=/dev/vda rw console=ttyS0 quiet systemd.show_status=false net.ifnames=0 systemd.hostname=%s vmtest.address=%s/24", g, g.address()),
		"-drive", "file="+disk+",if=virtio,format=raw,cache=writeback",
		"-netdev", "tap,id=net,ifname="+g.String()+",script=no,downscript=no", "-device", fmt.Sprintf("virtio-net-pci,netdev=net,mac=52:54:00:77:00:%02x", g.number),
		"-device", "virtio-serial", "-chardev", "socket,id=port,server=on,wait=off,path="+socket, "-device", "virtserialport,chardev=port,name=vmtest",
		"-serial", "file:"+g.work+".console")
	g.qemu = exec.CommandContext(ctx, "nsenter", args...)
	g.qemu.Stdout, g.qemu.Stderr = os.Stdout, os.Stderr
	if err := g.qemu.Start(); err != nil {
		return err
	}
	return g.connect(ctx)
}

func (g *guest) connect(ctx context.Context) error {
	for {
		conn, err := net.Dial("unix", g.work+".sock")
		if err == nil {
			g.port, g.lines = conn, bufio.NewReader(conn)
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s does not start: %w", g, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// off is a power cut.
func (g *guest) off() {
	if g.qemu != nil {
		g.port.Close()
		_ = g.qemu.Process.Kill()
		_ = g.qemu.Wait()
		g.qemu = nil
	}
}

// ready waits for the guest to say that it obeys. It says so at each boot.
func (g *guest) ready() error {
	for {
		line, err := g.lines.ReadString('\n')
		if err != nil || strings.TrimSpace(line) == "ready" {
			return err
		}
	}
}

// run has the guest run a script; an error tells what it printed.
func (g *guest) run(ctx context.Context, script string) (string, error) {
	limit, ok := ctx.Deadline()
	if own := time.Now().Add(15 * time.Minute); !ok || own.Before(limit) {
		limit = own
	}
	if err := g.port.SetDeadline(limit); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(g.port, base64.StdEncoding.EncodeToString([]byte(script))); err != nil {
		return "", err
	}
	for {
		line, err := g.lines.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("%s: %s: %w (its console: %s)", g, script, err, filepath.Base(g.work)+".console")
		}
		code, encoded, _ := strings.Cut(strings.TrimSpace(line), " ")
		if code == "ready" {
			continue
		}
		out, err := base64.StdEncoding.DecodeString(encoded)
		if err == nil && code != "0" {
			err = fmt.Errorf("%s: %s: exit code %s\n%s", g, script, code, out)
		}
		return strings.TrimSpace(string(out)), err
	}
}

// eventually repeats a script until it succeeds.
func (g *guest) eventually(ctx context.Context, limit time.Duration, script string) error {
	for end := time.Now().Add(limit); ; time.Sleep(time.Second) {
		_, err := g.run(ctx, script)
		if err == nil || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
	}
}
