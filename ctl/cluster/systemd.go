package cluster

import (
	_ "embed" // optimist.service
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

//go:embed optimist.service
var unitText string

// install writes the unit, or what has changed of it, and has systemd start it with the machine.
func (c Config) install() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	says := map[string]string{"NAME": c.Name, "CTL": self, "PATH": os.Getenv("PATH"), "SECONDS": fmt.Sprint((stopPatience + patience).Seconds())}
	text := os.Expand(unitText, func(word string) string { return strings.ReplaceAll(says[word], "%", "%%") })
	if err := pki.WriteFile(c.unitFile(), []byte(text)); err != nil {
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
