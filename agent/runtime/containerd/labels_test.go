package containerd

import (
	"testing"

	"optimist/agent/runtime"
)

func TestIDsAreReadBack(t *testing.T) {
	want := runtime.ContainerID{Pod: "6d1f-uid", Name: "web", Attempt: 12}
	if got, ok := parseID(want.String()); !ok || got != want {
		t.Errorf("%v, %v", got, ok)
	}
	for _, bad := range []string{"", "x", "a.b", "a.b.c", ".b.1", "a..1"} {
		if got, ok := parseID(bad); ok {
			t.Errorf("%q is %v", bad, got)
		}
	}
}
