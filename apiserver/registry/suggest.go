package registry

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// maxDepth bounds the search for where a field belongs.
const maxDepth = 8

// suggest says what the author of an unknown field may have meant: a sibling that is spelled almost alike, or else the places in the kind
// where a field of that very name belongs. parent is the type that has no such field.
func suggest(root, parent reflect.Type, name string) string {
	if near := nearest(parent, name); near != "" {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	if places := placesOf(root, name); len(places) > 0 {
		return fmt.Sprintf(" (a field of that name belongs at %s)", strings.Join(places, " or "))
	}
	return ""
}

// nearest is the sibling with the fewest edits, if those are few enough to be a slip.
func nearest(parent reflect.Type, name string) string {
	best, edits := "", len(name)/3+1
	for sibling := range fieldsOf(parent) {
		d := distance(strings.ToLower(name), strings.ToLower(sibling))
		if d < edits || d == edits && best != "" && sibling < best {
			best, edits = sibling, d
		}
	}
	return best
}

// distance is the number of insertions, deletions and substitutions between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
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
