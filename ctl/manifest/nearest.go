package manifest

import (
	"fmt"
	"strings"

	"optimist/internal/api"
)

// Nearest returns the candidate that a typing error most probably meant, or "".
func Nearest(word string, candidates []string) string {
	best, distance := "", 1+max(1, len(word)/3)
	for _, c := range candidates {
		if d := edits(strings.ToLower(word), strings.ToLower(c)); d < distance {
			best, distance = c, d
		}
	}
	return best
}

// edits counts the insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(replace, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

func suggestKind(c *api.Catalogue, name string) string {
	var names []string
	for _, k := range c.All() {
		names = append(names, k.Name)
	}
	near := Nearest(name, names)
	for _, k := range c.All() {
		if k.Name == near {
			return fmt.Sprintf("; did you mean %q in version %q?", near, k.GVK("").GroupVersion())
		}
	}
	return "; `ctl api-resources` lists what there is"
}
