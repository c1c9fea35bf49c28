// Package volume makes the volumes of a node's pods, and keeps their content as it should be while the pods run.
//
//	<root>/pods/<uid>/volumes/<name>/          what containers have mounted
//	    token ──▶ ..data/token                 names that never change …
//	    ..data ──▶ ..2026_11_29_18_00_00.123   … over a link that is swapped: a reader sees all of the old content or all of the new
//	    ..2026_11_29_18_00_00.123/token
//	<root>/pods/<uid>/subpaths/<container>/0   a part of a volume, held by a bind mount so that nobody can lead it elsewhere
//
// ConfigMap, Secret, downward API and token are all one: a projected volume has them as sources, and the plain volumes are projected ones with a
// single source. Those that may hold secrets, and emptyDirs of medium Memory, lie on a tmpfs of their own.
//
// Start reading at Mount in volume.go; content.go says what belongs into a volume, files.go how it gets there, follow.go how we hear that it has
// changed, paths.go what a container sees of it. The pod's worker (package pod) decides when.
//
// Invariants:
//   - Mount and Unmount are idempotent: an agent that was killed mounts again, and changes no file whose content is right;
//   - a pod's folder is removed only after everything below it is unmounted: a bind mount may lead to the machine's own files;
//   - without a Root nothing is written and nobody is followed, only looked whether all is there: so do simulated nodes.
//
// Real Kubernetes has a plug-in for each kind, a manager with its own loops, and caches of ConfigMaps and Secrets, so that a change needs up to a
// minute and a half to arrive; it gives a token to the user that all containers share. Volumes of other machines (PersistentVolumeClaims, CSI) it attaches too; here a pod that wants one waits.
package volume
