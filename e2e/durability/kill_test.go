package durability

import (
	"os"
	"path/filepath"
	"testing"
)

// long is full when tests run at full length, and share otherwise.
func long(share, full int) int {
	switch {
	case os.Getenv("OPTIMIST_LONG") != "":
		return full
	case testing.Short():
		return 1 + share/10
	}
	return share
}

// The API server is killed at random points while it is written to: also while it starts, and while it compacts.
func TestKill(t *testing.T) {
	trial := newTrial(newServer(t, built, filepath.Join(t.TempDir(), "store.db")), 1)
	err := trial.run(t.Context(), long(100, 1000))
	if err != nil {
		t.Fatal(err)
	}
	trial.report(t, "kills")
}
