// Command images builds the images of the examples into OCI archives that `ctl` and containerd import, without docker or a registry:
//
//	go run ./examples/images -o /tmp/images
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"optimist/examples/images/build"
)

func main() {
	out := flag.String("o", ".", "the folder to write to")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, image := range build.All() {
		path := filepath.Join(dir, strings.NewReplacer("/", "-", ":", "-").Replace(image.Name)+".tar")
		if err := image.WriteFile(path); err != nil {
			return fmt.Errorf("%s: %w", image.Name, err)
		}
		fmt.Println(path)
	}
	return nil
}
