package real

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestTools has the real kubectl and Helm, built from their own modules (make tools), drive a real cluster by the scripts in testdata/tools. Each
// script has a namespace of its own, which its kubeconfig says; a second, simulated cluster is in there as "sim".
func TestTools(t *testing.T) {
	needsRoot(t)
	c := up(t)
	for _, tool := range []string{"kubectl", "helm"} {
		if _, err := os.Stat(filepath.Join(c.Bin, tool)); err != nil {
			t.Skip("SKIPPED: needs bin/kubectl and bin/helm: run make tools first")
		}
	}
	sim := c.Name + "-sim"
	c.must(t, "up", "--sim", "--name", sim)
	t.Cleanup(func() { c.must(t, "down", "--yes", "--name", sim) })
	c.must(t, "config", "use-context", c.Name)
	kubeconfig, err := os.ReadFile(c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	wrappers := t.TempDir()
	for _, tool := range []string{"kubectl", "helm", "ctl"} {
		script := fmt.Sprintf("#!/bin/sh\nexec nsenter --net=/run/netns/%s %s \"$@\"\n", c.netns, filepath.Join(c.Bin, tool))
		if err := os.WriteFile(filepath.Join(wrappers, tool), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fetch := "#!/bin/bash\nfor i in {1..100}; do nsenter --net=/run/netns/" + c.netns +
		` bash -c 'exec 3<>/dev/tcp/$0; printf "GET / HTTP/1.0\r\n\r\n" >&3; cat <&3' $1 && exit; sleep 0.1; done; exit 1`
	if err := os.WriteFile(filepath.Join(wrappers, "fetch"), []byte(fetch), 0o755); err != nil { // fetch HOST/PORT
		t.Fatal(err)
	}
	t.Run("scripts", func(t *testing.T) { // ends when all have
		testscript.Run(t, testscript.Params{Dir: "testdata/tools", Setup: func(e *testscript.Env) error {
			own, namespace := filepath.Join(e.WorkDir, ".kubeconfig"), filepath.Base(e.WorkDir)[len("script-"):]
			for name, value := range map[string]string{"PATH": wrappers + ":" + os.Getenv("PATH"), "HOME": e.WorkDir, "KUBECONFIG": own, "NS": namespace,
				"SIM": sim, "REAL": c.Name, "EDITOR": "sh " + e.WorkDir + "/edit.sh", "NETNS": c.netns} {
				e.Setenv(name, value)
			}
			if _, err := c.Ctl("create", "namespace", namespace); err != nil {
				return err
			}
			if err := os.WriteFile(own, kubeconfig, 0o600); err != nil {
				return err
			}
			_, err := c.Ctl("config", "set-context", "--current", "--namespace", namespace, "--kubeconfig", own)
			return err
		}})
	})
}
