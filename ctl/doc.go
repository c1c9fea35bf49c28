// Package ctl is the command line: kubectl's words, output and exit codes over api.Service.
//
//	ctl apply -f web.yaml
//	  └─ New ─ cobra command ─▶ session (kubeconfig, context, namespace) ─▶ api.Service ─▶ printer
//	                                                                     (internal/client, or any other: Over)
//
// Each command has a file of its own, in the same order: the struct of its flags, the cobra command, run, and what run needs. Start with
// scale.go, the shortest with all of that; then get.go and apply.go. What commands share: session.go (how to reach the cluster, and to watch
// it), args.go (`pods,svc`, `deploy/web`), selection.go (-l, -A and the list that they mean), documents.go (-f), stream.go (logs, exec,
// attach), errors.go (how errors are worded and which exit code they give). Where many commands differ in little they are rows of a table: what
// create makes (create.go, on generate.go), what set changes (set.go), label and annotate (label.go), expose (expose.go), run (run.go).
//
// Invariants: commands return errors and never print them; every command writes through cobra's OutOrStdout and ErrOrStderr and takes its
// context from the command, so that the whole tree runs in a test process; nothing here is Linux-only.
//
// kubectl builds on client-go's resource builder and a "factory", needed for kinds that it learns from the server; here the catalogue of
// kinds is compiled in, and api.Service is all that a command sees.
package ctl
