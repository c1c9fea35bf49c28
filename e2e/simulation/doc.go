// Package simulation lives through whole clusters, each in an order of events that follows from one number, its seed.
//
//	                      dice ── which of all this comes next? ──┐
//	                                                              ▼
//	user     scheduler/1  scheduler/2     controllers/1  controllers/2     n1  n2  n3      the synchronous cores (law 11)
//	  │          │  ▲          │  ▲             │  ▲           │  ▲          │  ▲
//	  │       link  stream  link  stream …                                               links lose requests and answers, and
//	  ▼          ▼  │                                                                     kill; streams lag, break, and begin with
//	auth ─▶ registry ─▶ tap ─▶ store/memory                                               lists as old as is allowed
//	                     │
//	                     └──▶ history: the truth ──▶ invariants, at every commit
//
// There is one goroutine. It lets one thing happen after the other: a loop steps, a watch tells something, a worker of a node steps, time passes,
// a user does something, somebody is killed, stopped, cut off. Between two calls of one component others may do things, too (World.meanwhile), three
// deep: so a leader stands still in the middle of a plan, loses its lease, and goes on with the next write. Time is that of a testing/synctest bubble,
// which is all that the bubble is for: several goroutines would not reproduce. After a number of events nothing bad happens any more, and everything
// must come to rest.
//
// Start reading at run.go (a seed's life), then happen.go (what may happen), world.go, link.go and stream.go (how a component hears and speaks),
// process.go and node.go (how a component is driven), history.go, invariants.go and rollouts.go.
//
// # The invariants
//
// At each commit, on the true state:
//
//   - revisions grow by one, and an object's with them;
//   - a Pod is bound once, to a node whose allocatable CPU and number of Pods its non-terminal Pods then do not exceed;
//   - a write by the scheduler or a controller has a fence, and its Lease still has that holder and epoch;
//   - what a component deletes, by its uid, its watches had told of when the plan was made, or it has made it itself; a namespace is emptied
//     only while it is being deleted;
//   - the garbage collector deletes nothing that has an owner which exists, by its uid, and has not waited for its dependents at any time since the
//     plan was made;
//   - a node lets a Pod go only when none of its containers runs anywhere; each attempt at a container is started once, on one node;
//   - a ReplicaSet never makes more Pods than it was asked for and leaves no fewer, not counting what others made or took since the plan was made,
//     and reports no more as available than were ready;
//   - a rollout keeps its limits by what it asks for. Judged is a write of the deployment controller that changes a ReplicaSet's size:
//     if the size grows, Σ max(asked for, existing) over the Deployment's ReplicaSets is at most replicas + maxSurge, where Pods that are being deleted
//     do not exist any more (Kubernetes' count), nor do those that a user made or relabelled;
//     if it shrinks, Σ min(asked for, available) does not fall below replicas − maxUnavailable;
//     with Recreate, no Pod of another template is asked for or has not ended.
//     While a Deployment is paused or being resized its size is carried over whoever is available; then only what is asked for is limited.
//
// "Since the plan was made": a controller cannot know what its watches have not told. Of an object that it plans on, each state counts from the one that
// the watch had told when the step began (or when Settle had made sure) or that its own process had written, and the most permissive one decides. So nobody is blamed for deaths, deletes
// and changes that happen meanwhile, nor for what another loop of the same process writes while it is not told what became of that; but whoever plans
// on less than that, on a cache behind its own writes for example, is found out.
//
// At the end: every Deployment complete, every ReplicaSet and Pod as its spec says, nothing being deleted, nothing owned by what is gone, no sandbox
// without its Pod; and for 40 seconds nobody writes anything but heartbeats.
//
// # What is not simulated
//
// Events (they are told to a recorder that nobody runs), leases and heartbeats as lines of the story, the network, the disk (see e2e/durability), and
// requests that arrive after their sender has been told that they are lost.
//
// Real Kubernetes has no such thing. Sieve (OSDI '22) and Acto perturb its controllers from outside; FoundationDB, TigerBeetle and etcd's own
// linearizability tests are the models.
package simulation
