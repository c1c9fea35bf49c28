package port

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestHolder(t *testing.T) {
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Listen(l.Addr().String())
	if err == nil {
		t.Fatal("the same port was given twice")
	}
	if want := fmt.Sprintf("by pid %d (", os.Getpid()); runtime.GOOS == "linux" && !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not contain %q", err, want)
	}
}
