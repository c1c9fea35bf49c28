// Command logger writes what one container prints to a file. containerd starts it beside the container ("binary://" logging) and it
// ends when both streams do: the agent and containerd may be killed meanwhile without a program being blocked or a line lost.
//
//	2026-11-22T21:30:00.123456789Z stdout F a whole line
//	2026-11-22T21:30:00.123456789Z stdout P the first 16 KiB of a longer one
//
// That is the format of Kubernetes' Container Runtime Interface. The file is rotated by size: x.log, x.log.1, … the oldest last.
// Reading is package agent/logs' business. It imports nothing of Optimist and allocates next to nothing: there is one per container.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
)

// What containerd hands over, by its protocol: the container's streams, and a pipe to say "ready" on.
const (
	stdoutFD = 3
	stderrFD = 4
	readyFD  = 5
)

func main() {
	file := flag.String("file", "", "the log file")
	size := flag.Int64("size", 10<<20, "rotate when the file would grow beyond `bytes`")
	keep := flag.Int("keep", 3, "how many files to keep in all")
	count := flag.Int("streams", 2, "1 with a terminal, which has no stderr of its own (and never ends it)")
	flag.Parse()
	debug.SetMemoryLimit(8 << 20)
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT) // the shim's polite end must not cut the last lines

	log, err := open(*file, *size, *keep)
	if err != nil {
		fmt.Fprintln(os.Stderr, "logger:", err)
		os.Exit(1)
	}
	ready := os.NewFile(readyFD, "ready")
	_, _ = ready.Write([]byte{0}) // containerd 2 wants to see a byte, older ones only the end
	_ = ready.Close()

	var streams sync.WaitGroup
	streams.Go(func() { split(os.NewFile(stdoutFD, "stdout"), "stdout", log) })
	if *count > 1 {
		streams.Go(func() { split(os.NewFile(stderrFD, "stderr"), "stderr", log) })
	}
	streams.Wait()
}
