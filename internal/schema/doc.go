// Package schema holds the OpenAPI schema of every served type: fields, their types, defaults, enums, what they are for, and how lists and maps merge.
//
//	comments and tags of k8s.io/api ─ kube-openapi's generator ─▶ generate/openapi (not kept) ─ generate/main.go ─▶ definitions.json.gz (checked in, 160 kB)
//	                                                                                                                 │ Definitions, Texts
//	                                              ctl explain, server-side apply, /openapi/v2 and /openapi/v3 ◀──────┘
//
// The schema cannot be had from the Go types alone: which fields are required, the values of enums and the keys of lists stand in comments.
// The form is that of OpenAPI v3 as Kubernetes publishes it ($ref to "#/components/schemas/…", wrapped in allOf where it has siblings).
//
// Memory: nothing is unpacked before somebody asks, and nothing is kept. Definitions costs 30 ms, 12 MB of garbage and 5 MB for as long as the result is held;
// Texts 11 ms, 3 MB and 1 MB (`go test ./internal/schema -bench .`). So documents are cut from texts, and only apply, which needs types, parses.
//
// Start with schema.go. `make generate` makes the data anew after a change of k8s.io/api's version.
//
// Kubernetes compiles the generated Go code (85,000 lines) into its API server and builds all documents at start, which is a good part of its 250 MB.
package schema
