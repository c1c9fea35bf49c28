package ctl

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"optimist/internal/api"
)

// note is what label and annotate share: both keep a map of an object.
type note struct {
	verb, noun       string
	get              func(api.Object) map[string]string
	set              func(api.Object, map[string]string)
	did, kept, freed string // what is said of something set, of nothing changed, and of nothing but removals
	refused          string // what is said of a value that is there: key, value
}

var notes = []note{
	{"label", "label", api.Object.GetLabels, api.Object.SetLabels, "labeled", "not labeled", "unlabeled", "'%s' already has a value (%s), and --overwrite is false"},
	{"annotate", "annotation", api.Object.GetAnnotations, api.Object.SetAnnotations, "annotated", "annotated", "annotated",
		"--overwrite is false but found the following declared annotation(s): '%s' already has a value (%s)"},
}

func (n note) command(s *session) *cobra.Command {
	m, overwrite, list, revision := newModify(s), false, false, ""
	c := m.command(&cobra.Command{Use: n.verb + " TYPE NAME… KEY=VALUE… KEY-…", Short: "Set and remove " + n.noun + "s",
		Example: fmt.Sprintf("  ctl %[1]s node n1 disk=ssd\n  ctl %[1]s pods -l app=web tier=back --overwrite\n  ctl %[1]s node n1 disk-", n.verb)})
	c.Flags().BoolVar(&overwrite, "overwrite", false, "Replace values that there are")
	c.Flags().BoolVar(&list, "list", false, "Print what there is")
	c.Flags().StringVar(&revision, "resource-version", "", "Only if this is still the object's version")
	c.RunE = func(c *cobra.Command, args []string) error {
		args, set, gone := pairs(args, "=")
		at, err := strconv.ParseInt(revision, 10, 64)
		switch {
		case revision != "" && err != nil:
			return usage(c, "--resource-version must be a number, not %q", revision)
		case len(set)+len(gone) == 0 && !list:
			return fmt.Errorf("at least one %s update is required", n.noun)
		}
		m.only.Revision = api.Revision(at)
		m.change = func(o api.Object) (string, error) {
			now := maps.Clone(n.get(o))
			if now == nil {
				now = map[string]string{}
			}
			did, err := n.edit(c, now, set, gone, overwrite)
			n.set(o, now)
			if list {
				for _, key := range slices.Sorted(maps.Keys(now)) {
					fmt.Fprintf(c.OutOrStdout(), "%s=%s\n", key, now[key])
				}
				if len(set)+len(gone) == 0 {
					did = ""
				}
			}
			return did, err
		}
		return m.run(c, args)
	}
	return c
}

func (n note) edit(c *cobra.Command, now map[string]string, set [][2]string, gone []string, overwrite bool) (did string, err error) {
	did = n.kept
	for _, s := range set {
		old, has := now[s[0]]
		if has && old != s[1] && !overwrite {
			return "", fmt.Errorf(n.refused, s[0], old)
		}
		if !has || old != s[1] {
			now[s[0]], did = s[1], n.did
		}
	}
	for _, key := range gone {
		if _, has := now[key]; !has && n.noun == "label" {
			fmt.Fprintf(c.OutOrStdout(), "%s %q not found.\n", n.noun, key)
		} else if delete(now, key); did == n.kept {
			did = n.freed
		}
	}
	return did, nil
}
