package docs

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"optimist/ctl"
	"optimist/ctl/cluster"
)

// Every command of ctl and every target of make that a page shows exists.
func TestCommandsOnPagesExist(t *testing.T) {
	root := ctl.New(cluster.Commands(nil, nil)...)
	targets := text(t, "../Makefile")
	for _, page := range pages(t) {
		all := text(t, page)
		for _, shown := range append(fence.FindAllString(all, -1), code.FindAllString(all, -1)...) {
			for _, m := range regexp.MustCompile(`(?:^|[\s/`+"`"+`])(ctl|make) ([a-z][a-z-]+)`).FindAllStringSubmatch(shown, -1) {
				if m[1] == "make" && !strings.Contains(targets, "\n"+m[2]+":") || m[1] == "ctl" && !exists(root, m[2]) {
					t.Errorf("%s shows %q, which does not exist", page, m[1]+" "+m[2])
				}
			}
		}
	}
}

func exists(root *cobra.Command, name string) bool {
	found, _, err := root.Find([]string{name})
	return err == nil && found != root
}
