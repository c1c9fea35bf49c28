// Package console is a component's voice: its log goes to standard error and, bounded, to memory, from where `ctl logs --component scheduler` fetches it
// over the kept connection. And it has the in-process stream that every Connector answers with.
//
//	log, ring := console.New("scheduler")       log ─▶ stderr
//	                                             └──▶ Ring ◀── Connect(sub "log", tailLines=100, follow=true)
//	near, far := console.Pipe(ctx)              what one end sends the other receives
//
//	Act: what one look at an object led to  ──▶ one line of the log ──▶ Parse ──▶ `ctl logs --component` shows it
//
// Invariants: the ring holds at most Lines lines; a reader that falls behind is told how many it missed; writing never waits for readers.
//
// Real Kubernetes leaves component logs to the machine (journald, or files of static pods): one logs in there to read them.
package console
