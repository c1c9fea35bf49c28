package trace

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"optimist/internal/api"
)

// Look is how a tree is printed.
type Look struct {
	Namespace string // which need not be said
	All       bool   // also what is like what stands above it, and what only tells of it
}

// burst is how many writes of one sort below one cause are still printed one by one.
const burst = 3

// Print draws the tree.
func (t *Tree) Print(out io.Writer, l Look) error {
	var text strings.Builder
	root := t.Root
	fmt.Fprintf(&text, "%9s  %s (revision %d)\n", "", root.words(l), root.Revision)
	l.children(&text, root, "")
	if n := root.quiet(); n > 0 && !l.All {
		fmt.Fprintf(&text, "%9s  left out: %d writes to statuses and Events; --all draws them\n", "", n)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func (l Look) children(text *strings.Builder, n *Node, indent string) {
	rows := l.rows(n)
	for i, r := range rows {
		branch, below := "├─ ", "│  "
		if i == len(rows)-1 {
			branch, below = "└─ ", "   "
		}
		if r.Wake {
			branch = strings.Replace(branch, "─", "┄", 1)
		}
		if r.more != "" {
			fmt.Fprintf(text, "%9s  %s%s%s\n", offset(r.After), indent, branch, r.more)
			continue
		}
		fmt.Fprintf(text, "%9s  %s%s%s\n", offset(r.After), indent, branch, r.words(l))
		l.children(text, r.Node, indent+below)
	}
}

// row is a write, or what stands for several.
type row struct {
	*Node
	more string
}

// rows are the children of a node. Of many of one sort it shows the first, and the one below which the last thing happened.
func (l Look) rows(n *Node) (rows []row) {
	sorts := map[string][]*Node{}
	children := l.visible(n)
	for _, c := range children {
		sorts[c.sort()] = append(sorts[c.sort()], c)
	}
	for _, c := range children {
		alike := sorts[c.sort()]
		if l.All || len(alike) <= burst {
			rows = append(rows, row{Node: c})
			continue
		}
		last := alike[1]
		for _, a := range alike[1:] {
			if a.last().Revision > last.last().Revision {
				last = a
			}
		}
		if c == alike[0] || c == last {
			rows = append(rows, row{Node: c})
		}
		if c == alike[0] {
			rows = append(rows, row{Node: alike[1], more: rest(alike, last)})
		}
	}
	return rows
}

// visible are the children of a node; for those that only tell of what happened stand their own children.
func (l Look) visible(n *Node) (all []*Node) {
	for _, c := range n.Children {
		if l.All || !c.tellsOnly() {
			all = append(all, c)
		} else {
			all = append(all, l.visible(c)...)
		}
	}
	slices.SortFunc(all, func(a, b *Node) int { return cmp.Compare(a.Revision, b.Revision) })
	return all
}

// tellsOnly is true of Events, and of statuses that say nothing new of which we know the words.
func (n *Node) tellsOnly() bool {
	return n.Object.Kind == api.EventKind.Name || n.Sub == "status" && n.Said == "" && !n.Wake
}

func (n *Node) quiet() (count int) {
	for _, c := range n.Children {
		if count += c.quiet(); c.tellsOnly() {
			count++
		}
	}
	return count
}

// rest says what is left out of writes that are alike: all but the first and the one that lasted longest.
func rest(alike []*Node, last *Node) string {
	n, until := 0, time.Duration(0)
	for _, a := range alike[1:] {
		if a != last {
			n, until = n+1, max(until, a.last().After)
		}
	}
	return fmt.Sprintf("… and %d more %ss, until %s", n, strings.ToLower(alike[0].Object.Kind), offset(until))
}

// sort is the same for writes that tell the same story about different objects.
func (n *Node) sort() string {
	who := n.User
	if strings.HasPrefix(who, api.NodePrefix) {
		who = api.NodePrefix
	}
	return fmt.Sprint(who, n.Verb, n.Sub, n.Object.Group, n.Object.Kind, n.Wake)
}

// last is the newest write in and below a node.
func (n *Node) last() *Node {
	newest := n
	for _, c := range n.Children {
		if l := c.last(); l.Revision > newest.Revision {
			newest = l
		}
	}
	return newest
}

func (n *Node) words(l Look) string {
	text := fmt.Sprintf("%s: %s, %s", Object(n.Entry, l.Namespace), Who(n.Entry), Did(n.Entry))
	if n.Said != "" {
		text += " · " + n.Said
	}
	return text
}

// offset is a time after the root: "+12 ms", "+1.4 s".
func offset(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("+%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("+%.1f s", d.Seconds())
	}
	return "+" + d.Round(time.Second).String()
}
