// Package printer writes objects out: as tables, as YAML or JSON, or as names.
//
// The columns and cells of a table come from the server (api.View Table), one row beside each object, so this package knows no kind: it
// only chooses columns, adds those that `ctl get` was asked for (namespace, labels), and aligns them. A Table remembers its widths, so that
// the rows of a watch stand under those of the list before.
//
// kubectl does the same with the server's meta.k8s.io Table; the layout (three spaces between columns, <none>) is taken over exactly,
// because scripts read it.
package printer
