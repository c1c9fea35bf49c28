//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// figure is one row of the table.
type figure struct {
	name, value string
	reach       string // what we want; "" = nothing in particular
	command     string // that measures it; "" = the section's
}

type table []figure

func (t table) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "WHAT\tMEASURED\tREACH\tCOMMAND")
	for _, f := range t {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", f.name, f.value, f.reach, f.command)
	}
	w.Flush()
	return b.String()
}

// at is the value below which a share of all lies.
func at(all []time.Duration, share float64) time.Duration {
	slices.Sort(all)
	return all[min(int(share*float64(len(all))), len(all)-1)]
}

func median(all []time.Duration) time.Duration { return at(all, 0.5) }

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

// seconds shows the median of several runs and, in brackets, the best: what the machine's other work disturbed least.
func seconds(all []time.Duration) string {
	return fmt.Sprintf("%.2f s [%.2f]", median(all).Seconds(), slices.Min(all).Seconds())
}
