package strict

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

const (
	maxDepth = 8  // of the search for where a field belongs
	maxName  = 64 // what is longer is nobody's slip of the pen
)

// suggest says what the author of an unknown field may have meant: a sibling that is spelled almost alike, or else the places in the kind
// where a field of that very name belongs. parent is the type that has no such field.
func suggest(root, parent reflect.Type, name string) string {
	if len(name) > maxName {
		return ""
	}
	if near := Nearest(name, slices.Collect(maps.Keys(fieldsOf(parent)))); near != "" {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	if places := placesOf(root, name); len(places) > 0 {
		return fmt.Sprintf(" (a field of that name belongs at %s)", strings.Join(places, " or "))
	}
	return ""
}

// Nearest is the candidate that a slip of the pen most probably meant, or "".
func Nearest(word string, candidates []string) string {
	best, edits := "", 1+max(1, len(word)/3)
	for _, c := range candidates {
		d := distance(strings.ToLower(word), strings.ToLower(c))
		if d < edits || d == edits && best != "" && c < best {
			best, edits = c, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
func distance(a, b string) int {
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

// placesOf are the shallowest paths (at most three) in a type that end in a field name.
func placesOf(root reflect.Type, name string) []string {
	type place struct {
		path string
		t    reflect.Type
	}
	level := []place{{"", root}}
	seen := map[reflect.Type]int{} // at which depth first
	for depth := 0; depth < maxDepth && len(level) > 0; depth++ {
		var found []string
		var next []place
		for _, p := range level {
			t, suffix := structIn(p.t)
			if t == nil {
				continue
			}
			if first, ok := seen[t]; ok && first < depth {
				continue
			}
			seen[t] = depth
			for child, typ := range fieldsOf(t) {
				at := join(p.path+suffix, child)
				if child == name {
					found = append(found, at)
				}
				next = append(next, place{at, typ})
			}
		}
		if len(found) > 0 {
			slices.Sort(found)
			return found[:min(len(found), 3)]
		}
		slices.SortFunc(next, func(a, b place) int { return strings.Compare(a.path, b.path) })
		level = next
	}
	return nil
}

// structIn unwraps pointers, lists and maps down to a struct; nil if there is none, or if it has a JSON form of its own.
func structIn(t reflect.Type) (reflect.Type, string) {
	suffix := ""
	for {
		switch t.Kind() {
		case reflect.Pointer:
			t = t.Elem()
		case reflect.Slice:
			t, suffix = t.Elem(), suffix+"[]"
		case reflect.Struct:
			if reflect.PointerTo(t).Implements(unmarshaler) {
				return nil, ""
			}
			return t, suffix
		default:
			return nil, ""
		}
	}
}
