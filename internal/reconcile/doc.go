// Package reconcile runs controllers: loops that look at what is, compare it with what is wanted, and take the next steps towards it.
//
//	informer.Listen ──▶ queue ──▶ Step: Settle, Reconcile(key) ──▶ plan (pure) ──▶ Act ──▶ Service (Over the informers)
//	  which keys?       one entry     │                             []Action,               │
//	  and why?          a key         └── again after …, back-off   each with its Why       └──▶ log, Events, Decisions
//
// A Controller is a declaration: what it is for, what it owns and watches, what it writes. The loop is the same for all of them. A key is
// worked on by one worker at a time; changes that come meanwhile queue it once more, with the union of their causes (law 7): every write
// carries the revisions that led to it.
//
// Start reading at controller.go, then loop.go, queue.go, act.go.
//
// Invariants: Reconcile never sees a cache older than this component's own writes (Loop settles first); deciding is pure and acting is
// data (law 4); Step is synchronous, Run only adds goroutines (law 11); the queue is bounded by the number of objects there are.
//
// Real Kubernetes has client-go's workqueue and one hand-written Run/processNextWorkItem/syncHandler per controller; controller-runtime
// is close to this package, but its reconcilers write wherever they like and leave no reasons behind.
package reconcile
