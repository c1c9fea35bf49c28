// Package journal shows what the store's log knows, and decides how long it knows it.
//
//	registry ── Commit(writes + note) ──▶ store's log ──┬──▶ Connect: one line of JSON a write (api.Entry)     ctl history, ctl trace
//	                                                    ├──▶ At: which revision was the newest at that time    ctl get --at=-5m
//	                                                    └──▶ Run: forget what is too old or too much           --history, --history-size
//
// There is no second copy: the notes lie beside the transactions that they explain, and are forgotten together with the states that these
// transactions replaced. Whoever can ask for an entry can also read the objects before and after it.
//
// Start reading at Journal.Connect, then Run.
//
// Invariants: what is asked for is read in pieces, however long it is; what has been forgotten is refused by name of the oldest that is
// left, never left out silently; no bound but the age takes what is younger than KeepAtLeast.
//
// Real Kubernetes has audit logs (who did what, but not because of what) and forgets superseded states after five minutes.
package journal
