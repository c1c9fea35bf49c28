// Package event records what happened to an object in words for people: `ctl describe` and `ctl get events` show it.
//
//	Event(ctx, about, Normal, "Scheduled", "…") ──▶ bounded queue ──▶ Run: first time → create, again → patch count and lastTimestamp
//
// Events are a courtesy, never a mechanism: Event does not block, a full queue drops, nobody's logic reads them. The same sentence about
// the same object is one Event with a count. They carry the causes of the context that they were said in.
//
// Start reading at recorder.go.
//
// Real Kubernetes does the same in client-go's tools/record, with a broadcaster, a correlator and a spam filter between.
package event
