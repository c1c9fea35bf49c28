// Package watch validates watches: whatever happens, each watcher is told exactly what concerns it, in order, without gaps, doubles, or news
// from the past.
//
//	writers ──▶ journal: revision, pod before and after          the model
//	    │                     │ what a selection should have been told, event by event
//	    ▼                     ▼
//	registry ── watches ──▶ watchers: what they were told        compared after every phase
//
// During a phase connections break and are resumed by revision, the registry is restarted (over bolt: with its store), history is compacted, and
// some watchers do not read at all until they are dropped. The selections are written twice: as selectors for the server, as functions for the
// model, which knows nothing of caches, indexes and queues.
//
// Start reading at world.phase; journal.go is the model.
package watch
