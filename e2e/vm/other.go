//go:build !linux

// Command vm is for Linux.
package main

func main() { println("SKIPPED: vmtest needs Linux") }
