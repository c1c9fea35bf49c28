// Package schema holds the OpenAPI schema of every served type: fields, their types, defaults, enums, what they are for, and how lists and maps merge.
//
//	comments and tags of k8s.io/api ─ kube-openapi's generator ─▶ generate/openapi (not kept) ─ generate/main.go ─▶ definitions.json.gz (checked in, 150 kB)
//	                                                                                                                 │ Definitions, Texts, Swagger
//	                                              ctl explain, server-side apply, /openapi/v2 and /openapi/v3 ◀──────┘
//
// The schema cannot be had from the Go types alone: which fields are required, the values of enums and the keys of lists stand in comments.
// The form is that of OpenAPI v3 as Kubernetes publishes it ($ref to "#/components/schemas/…", wrapped in allOf where it has siblings).
//
// Memory: nothing is unpacked before somebody asks, and nothing is kept. Definitions costs 30 ms, 11 MB of garbage and 4.4 MB for as long as the result is held;
// Texts 10 ms, 3.5 MB and, for a Pod and all within, 0.3 MB (`go test ./internal/schema -bench .`). So documents are cut from texts, and only apply and explain, which need types, parse.
//
// Start with schema.go. `make generate` makes the data anew after a change of k8s.io/api's version.
//
// Kubernetes compiles the generated Go code (79,000 lines) into its API server, and keeps the documents of all groups once they were asked for.
package schema
