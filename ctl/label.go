package ctl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"optimist/internal/api"
)

// marks changes an object's labels, or its annotations.
type marks struct {
	*modify
	noun, done string // label, labeled
	overwrite  bool
	of         func(api.Object) map[string]string
	put        func(api.Object, map[string]string)
	set        [][2]string
	gone       []string
}

func labelCommand(s *session) *cobra.Command {
	return (&marks{modify: newModify(s), noun: "label", done: "labeled", of: api.Object.GetLabels, put: api.Object.SetLabels}).command()
}

func annotateCommand(s *session) *cobra.Command {
	return (&marks{modify: newModify(s), noun: "annotate", done: "annotated", of: api.Object.GetAnnotations, put: api.Object.SetAnnotations}).command()
}

func (l *marks) command() *cobra.Command {
	c := l.modify.command(&cobra.Command{
		Use:     l.noun + " TYPE NAME… KEY=VALUE… KEY-…",
		Short:   fmt.Sprintf("Set and remove %ss", strings.Replace(l.noun, "annotate", "annotation", 1)),
		Example: fmt.Sprintf("  ctl %s node n1 disk=ssd\n  ctl %s pod/web-1 tier=back --overwrite\n  ctl %s node n1 disk-", l.noun, l.noun, l.noun),
	})
	c.Flags().BoolVar(&l.overwrite, "overwrite", false, "Replace values that there are")
	c.RunE = func(c *cobra.Command, args []string) error {
		args, l.set, l.gone = pairs(args, "=")
		if len(l.set)+len(l.gone) == 0 {
			return usage(c, "at least one %s update is required", strings.Replace(l.noun, "annotate", "annotation", 1))
		}
		l.change = func(o api.Object) (string, error) { return l.alter(c, o) }
		return l.run(c, args)
	}
	return c
}

func (l *marks) alter(c *cobra.Command, o api.Object) (did string, err error) {
	now, changed, refused := map[string]string{}, 0, []string{}
	for key, value := range l.of(o) {
		now[key] = value
	}
	for _, s := range l.set {
		old, has := now[s[0]]
		switch {
		case has && old == s[1]:
			continue
		case has && !l.overwrite:
			refused = append(refused, fmt.Sprintf("'%s' already has a value (%s)", s[0], old))
			continue
		}
		now[s[0]] = s[1]
		changed++
	}
	if len(refused) > 0 && l.noun == "label" {
		return "", errors.New(strings.Join(refused, "; ") + ", and --overwrite is false")
	}
	if len(refused) > 0 {
		return "", errors.New("--overwrite is false but found the following declared annotation(s): " + strings.Join(refused, "; "))
	}
	for _, key := range l.gone {
		if _, has := now[key]; !has {
			fmt.Fprintf(c.OutOrStdout(), "%s %q not found.\n", strings.Replace(l.noun, "annotate", "annotation", 1), key)
			continue
		}
		delete(now, key)
		changed++
	}
	l.put(o, now)
	switch {
	case l.noun == "annotate":
		return l.done, nil
	case changed == 0:
		return "not labeled", nil
	case len(l.set) == 0:
		return "unlabeled", nil
	}
	return l.done, nil
}
