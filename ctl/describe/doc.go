// Package describe tells all there is to know about one object, in kubectl's layout: its fields in words, what belongs to it, and at the
// end its events.
//
//	Describe ─▶ table[kind] (pod.go, node.go, …; others.go for the rest) ─▶ rows (page.go: labels and values) ─▶ text
//	         └▶ events, for every kind
//
// A description reads through api.Service only, and a part that cannot be read (forbidden, not there) is left out rather than failing the
// whole. Start reading at describe.go, then namespace in others.go, the shortest of the kinds.
//
// kubectl's describers live in one file of 6,000 lines, one type a kind; here they are functions in a table.
package describe
