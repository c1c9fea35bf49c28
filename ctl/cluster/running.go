package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

// running identifies a process for good: a pid alone may be given to another process, after a reboot surely is.
type running struct {
	PID   int    `json:",omitempty"`
	Start string `json:",omitempty"` // in clock ticks after Boot, from /proc/PID/stat
	Boot  string `json:",omitempty"` // the kernel's id of this boot

	// Of one that has died and will be started again:
	Deaths     int    `json:",omitempty"` // in a row
	How        string `json:",omitempty"` // the last time
	Supervisor int    `json:",omitempty"` // pid of who saw it

	cmd *exec.Cmd // when it is our child; nil when it was adopted
}

// recorded is what the supervisor has noted of each process. Nothing is known where the file cannot be read.
func (c Config) recorded() map[string]running {
	all := map[string]running{}
	if data, err := os.ReadFile(c.path("processes.json")); err == nil && json.Unmarshal(data, &all) != nil {
		return map[string]running{}
	}
	return all
}

func (c Config) noteRunning(all map[string]running) error {
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return writeFile(c.path("processes.json"), data)
}

// hopeless is how often in a row a program may die before those who wait for it give up.
const hopeless = 3

// failure is why a part of the cluster will not become ready; nil while there is hope.
func (c Config) failure(part string) error {
	supervisor := c.supervisor()
	if supervisor == 0 {
		return fmt.Errorf("the cluster's supervisor ended%s", lastLines(c.logFile("supervisor"), 1))
	}
	if r := c.recorded()[part]; r.Supervisor == supervisor && r.Deaths >= hopeless {
		return fmt.Errorf("%s cannot run (%s)%s", part, r.How, lastLines(c.logFile(part), 1))
	}
	return nil
}
