package containerd

import (
	"testing"

	"optimist/agent/runtime/runtimetest"
)

func TestSuite(t *testing.T) {
	m := newMachine(t)
	runtimetest.Run(t, func(t *testing.T) runtimetest.Subject { return subject(t, m) })
}
