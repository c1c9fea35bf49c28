package mutants

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const enough = 3000 // seeds without finding a mutant

var only = flag.String("mutant", "", "look for this one, whatever OPTIMIST_LONG says")

func all(t *testing.T) (list []Mutant) {
	paths, _ := filepath.Glob("*.patch")
	for _, p := range paths {
		m, err := Read(p)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
	}
	return list
}

// overlay lets the go command see mutated files in place of the real ones. No two may be of the same file.
func overlay(t *testing.T, mutants ...Mutant) string {
	t.Helper()
	dir, replace := t.TempDir(), map[string]string{}
	for _, m := range mutants {
		real, err := filepath.Abs(filepath.Join("../..", m.File))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(real)
		if err != nil {
			t.Fatal(err)
		}
		mutated, err := m.Apply(string(text))
		if err != nil {
			t.Fatal(err)
		}
		replace[real] = filepath.Join(dir, m.Name+".go")
		if err := os.WriteFile(replace[real], []byte(mutated), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	content, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	list := filepath.Join(dir, "overlay.json")
	if err == nil {
		err = os.WriteFile(list, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Every mutant is one line in code that exists, compiles, and stands in the README.
func TestMutantsApply(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	list := all(t)
	if len(list) != strings.Count(string(readme), "\n| `") {
		t.Errorf("there are %d patches, README.md names %d mutants", len(list), strings.Count(string(readme), "\n| `"))
	}
	for _, m := range list {
		if !strings.Contains(string(readme), "`"+m.Name+"`") {
			t.Errorf("README.md does not name %s", m.Name)
		}
	}
	for len(list) > 0 { // as many at once as touch different files
		var batch, rest []Mutant
		args, files := []string{"build", "-overlay", ""}, map[string]bool{}
		for _, m := range list {
			if files[m.File] {
				rest = append(rest, m)
				continue
			}
			files[m.File] = true
			batch, args = append(batch, m), append(args, "optimist/"+filepath.Dir(m.File))
		}
		args[2] = overlay(t, batch...)
		if out, err := run(t, "go", args...); err != nil {
			t.Errorf("a mutant does not compile: %v\n%s", err, out)
		}
		list = rest
	}
}

var found = regexp.MustCompile(`seed (\d+): (.*)`)

// Each mutant is found: some seed of the simulation fails on it, and says what the mistake led to.
func TestMutantsAreFound(t *testing.T) {
	if os.Getenv("OPTIMIST_LONG") != "1" && *only == "" {
		t.Skip("takes minutes; OPTIMIST_LONG=1, or -mutant NAME")
	}
	for _, m := range all(t) {
		if *only != "" && *only != m.Name {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), "simulation.test")
			if out, err := run(t, "go", "test", "-c", "-overlay", overlay(t, m), "-o", binary, "optimist/e2e/simulation"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			out, err := run(t, binary, "-test.run", "^TestSeeds$", "-seeds", strconv.Itoa(enough), "-failures", "1")
			hit := found.FindStringSubmatch(out)
			if err == nil || hit == nil {
				t.Fatalf("not found in %d seeds:\n%s", enough, out)
			}
			fmt.Printf("%-26s found by seed %4s: %s\n", m.Name, hit[1], hit[2])
		})
	}
}
