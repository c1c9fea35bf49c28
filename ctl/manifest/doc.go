// Package manifest reads what people write: files, folders and standard input, YAML and JSON, several documents each, lists of objects.
//
//	paths ─ find ─▶ files ─ split ─▶ chunks ─ parse ─▶ Document{Object, Kind, Source}
//	                                   └─ Fault: where, what, and what was probably meant
//
// Every document stands alone: a bad one becomes a Fault that names file, line and document, and the others are read all the same. Fields
// are checked against the kind's Go type before anything is sent, because only here is it still known on which line they stand; the server
// checks them again. Kinds that this program does not know cannot be checked and are refused with the nearest name.
//
// Documents in versions that no server knows any more (extensions/v1beta1 Ingress …) are rewritten by a table, old.go, with kubectl's warning; a field
// that a newer version has elsewhere is refused with the place where it belongs.
//
// Start reading at read.go, then parse.go; package strict has the checks.
//
// kubectl sends documents as they are and lets the server judge fields, so its messages know no lines.
package manifest
