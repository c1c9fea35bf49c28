// Command ctl controls an Optimist cluster.
package main

import (
	"os"

	"optimist/ctl"
)

func main() {
	os.Exit(ctl.Main())
}
