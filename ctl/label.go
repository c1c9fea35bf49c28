package ctl

import (
	"fmt"

	"github.com/spf13/cobra"

	"optimist/internal/api"
)

func labelCommand(s *session) *cobra.Command {
	m, overwrite := newModify(s), false
	c := m.command(&cobra.Command{
		Use:     "label TYPE NAME… KEY=VALUE… KEY-…",
		Short:   "Set and remove labels",
		Example: "  ctl label node n1 disk=ssd\n  ctl label pod/web-1 tier=back --overwrite\n  ctl label node n1 disk-",
	})
	c.Flags().BoolVar(&overwrite, "overwrite", false, "Replace values that there are")
	c.RunE = func(c *cobra.Command, args []string) error {
		args, set, gone := pairs(args, "=")
		if len(set)+len(gone) == 0 {
			return usage(c, "at least one label update is required")
		}
		m.change = func(o api.Object) (did string, err error) {
			now := map[string]string{}
			for key, value := range o.GetLabels() {
				now[key] = value
			}
			did = "not labeled"
			for _, s := range set {
				old, has := now[s[0]]
				if has && old != s[1] && !overwrite {
					return "", fmt.Errorf("'%s' already has a value (%s), and --overwrite is false", s[0], old)
				}
				if !has || old != s[1] {
					now[s[0]], did = s[1], "labeled"
				}
			}
			for _, key := range gone {
				if _, has := now[key]; !has {
					fmt.Fprintf(c.OutOrStdout(), "label %q not found.\n", key)
				} else if delete(now, key); did == "not labeled" {
					did = "unlabeled"
				}
			}
			o.SetLabels(now)
			return did, nil
		}
		return m.run(c, args)
	}
	return c
}
