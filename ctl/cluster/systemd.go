package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"optimist/internal/pki"
)

// manager is where systemd finds units, and where one sees that it runs.
type manager struct{ units, runs string }

var systemd = manager{"/etc/systemd/system", "/run/systemd/system"}

func (m manager) check() error {
	if _, err := os.Stat(m.runs); err != nil {
		return fmt.Errorf("--systemd: systemd does not run this machine (there is no %s). Leave --systemd out, and say ctl start after a reboot", m.runs)
	}
	if _, err := exec.LookPath("systemctl"); err != nil || os.Geteuid() != 0 {
		return errors.New("--systemd needs root, and the program systemctl")
	}
	return nil
}

func systemctl(args ...string) error {
	if out, err := exec.Command("systemctl", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (c Config) unit() string     { return "optimist-" + c.Name + ".service" }
func (c Config) unitFile() string { return filepath.Join(systemd.units, c.unit()) }
func (c Config) hasUnit() bool    { _, err := os.Stat(c.unitFile()); return err == nil }

// unitText is the supervisor as a service. It alone is told to end, and ends the others in their order; should it be killed, they live on, and the
// next one finds them.
func (c Config) unitText(ctl, path string) string {
	ctl, path = strings.ReplaceAll(ctl, "%", "%%"), strings.ReplaceAll(path, "%", "%%")
	return `[Unit]
Description=Optimist cluster ` + c.Name + `
Wants=network-online.target
After=network-online.target

[Service]
ExecStart="` + ctl + `" supervise --name ` + c.Name + `
Environment="PATH=` + path + `"
KillMode=process
Delegate=yes
Restart=always
RestartSec=1
TimeoutStopSec=` + fmt.Sprint((stopPatience + patience).Seconds()) + `
TasksMax=infinity
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
`
}

// install writes the unit, or what has changed of it, and has systemd start it with the machine.
func (c Config) install() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := pki.WriteFile(c.unitFile(), []byte(c.unitText(self, os.Getenv("PATH")))); err != nil {
		return err
	}
	if err := errors.Join(os.Chmod(c.unitFile(), 0o644), systemctl("daemon-reload")); err != nil {
		return err
	}
	return systemctl("enable", c.unit())
}

// spawnUnit is spawn by systemd.
func (c Config) spawnUnit() error {
	if err := systemctl("restart", c.unit()); err != nil {
		return err
	}
	if !until(patience, func() bool { return c.supervisor() != 0 }) {
		return fmt.Errorf("systemd has started no supervisor of cluster %q: see journalctl -u %s", c.Name, c.unit())
	}
	return nil
}

// uninstall also ends what the unit runs.
func (c Config) uninstall() error {
	if !c.hasUnit() {
		return nil
	}
	return errors.Join(systemctl("disable", "--now", c.unit()), os.Remove(c.unitFile()), systemctl("daemon-reload"))
}
