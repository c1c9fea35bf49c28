package why

import (
	"fmt"
	"io"
	"strings"
)

// For completes the command lines: how ctl has to be called, "ctl" or with the flags that name the cluster.
func (d Diagnosis) For(ctl string) Diagnosis {
	if d.Cause == nil {
		return d
	}
	lines := func(commands []string) (all []string) {
		for _, c := range commands {
			if c = strings.ReplaceAll(c, " | ", " | "+ctl+" "); !strings.HasPrefix(c, "echo ") {
				c = ctl + " " + c
			}
			all = append(all, c)
		}
		return all
	}
	c := *d.Cause
	c.Try, c.Or = lines(c.Try), lines(c.Or)
	d.Cause = &c
	return d
}

// Print tells a diagnosis; what matters most stands last.
func (d Diagnosis) Print(out io.Writer) {
	if d.Cause == nil {
		fmt.Fprintln(out, d.Object, d.State)
		return
	}
	for _, line := range d.Chain {
		fmt.Fprintln(out, line)
	}
	for _, line := range d.Cause.Evidence {
		fmt.Fprintln(out, "  "+line)
	}
	fmt.Fprintf(out, "Cause: %s.\n", strings.TrimSuffix(d.Cause.Text, "."))
	for i, command := range d.Cause.Try {
		fmt.Fprintln(out, map[bool]string{true: "Try:  ", false: "then: "}[i == 0], command)
	}
	for _, command := range d.Cause.Or {
		fmt.Fprintln(out, "or:   ", command)
	}
}
