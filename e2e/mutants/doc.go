// Package mutants puts ten mistakes into the code, one after the other, and demands that the simulation finds each. README.md names them.
//
//	no-fence.patch ─▶ apply (in memory) ─▶ overlay.json ─▶ go test -overlay … ./e2e/simulation ─▶ a seed must fail
//
// The tree itself is never touched.
package mutants

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Mutant is a mistake: one file, one hunk.
type Mutant struct {
	Name, File string // of the repository: "internal/informer/cache.go"
	old, new   string
}

// Read reads a unified patch of one hunk.
func Read(path string) (Mutant, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Mutant{}, err
	}
	m := Mutant{Name: strings.TrimSuffix(filepath.Base(path), ".patch")}
	for line := range strings.Lines(string(text)) {
		rest := line[1:]
		switch {
		case strings.HasPrefix(line, "--- "):
			m.File = strings.TrimSpace(strings.TrimPrefix(line, "--- a/"))
		case strings.HasPrefix(line, "+++ "), strings.HasPrefix(line, "@@"):
		case line[0] == '-':
			m.old += rest
		case line[0] == '+':
			m.new += rest
		case line[0] == ' ':
			m.old, m.new = m.old+rest, m.new+rest
		default:
			return m, fmt.Errorf("%s: %q is no line of a patch", path, line)
		}
	}
	return m, nil
}

// Apply is the mutated text of a file.
func (m Mutant) Apply(text string) (string, error) {
	if n := strings.Count(text, m.old); n != 1 {
		return "", fmt.Errorf("%s: %s has the patched lines %d times, want once: adapt the patch to the code", m.Name, m.File, n)
	}
	return strings.Replace(text, m.old, m.new, 1), nil
}
