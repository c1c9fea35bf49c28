// Package containerd runs pods for real, through containerd's own API; whatever containerd (1.6 or newer) a machine has will do.
//
//	StartSandbox ── a folder per pod below Root                     StartContainer ── a container in containerd
//	  <uid>/sandbox.json     what was asked, address, boot id          labels     identity; after the exit: code, reason, time
//	  <uid>/{net,ipc,uts}    the pinned namespaces                     snapshot   the writable layer over the image
//	  <uid>/shm              a tmpfs, /dev/shm of every container      task       shim + process, only while it runs
//	  <uid>/{hosts,…}        files mounted into every container        logger     cmd/logger, outlives agent and containerd
//	  <uid>/<id>.started     "this attempt was given to the kernel"
//
// Start reading at container.go (StartContainer, Stop), then sandbox.go, state.go (what a lost agent finds again) and
// events.go. Nothing is kept in memory that matters: the agent may be killed between any two lines and reads everything again.
//
// Invariants:
//   - an exit is recorded once, on the container's labels, before its task is deleted (settle in state.go); a broken connection is never
//     taken for an exit;
//   - whatever decides about one container does so under its lock;
//   - limits are the containers' own: their cgroups lie side by side below the node's, so their weights are compared across pods;
//   - a record of an earlier boot is not a sandbox any more: Sandbox sweeps it away.
//
// Real Kubernetes talks CRI to containerd's plugin, which does the same with a "pause" process holding the namespaces of each pod;
// bind mounts hold them as well.
package containerd
