package cluster

import (
	"errors"
	"os"
	"syscall"
)

// On Windows ctl talks to clusters that run elsewhere; here checkSystem refuses to start one, so the rest is never reached.
var errWindows = errors.New("clusters run on Linux, simulated ones on macOS too; here ctl can use those (--kubeconfig), or start one in WSL")

const removeSignal = syscall.SIGTERM

func checkSystem() error             { return errWindows }
func tryLock(*os.File) bool          { return false }
func tryShared(*os.File) bool        { return true }
func awaitLock(*os.File) error       { return errWindows }
func detached() *syscall.SysProcAttr { return nil }
func kill(int, syscall.Signal) error { return errWindows }
