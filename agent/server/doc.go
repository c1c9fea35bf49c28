// Package server answers what people ask of a node: a container's log, a process in it, the node's images, the agent's own log.
//
//	ctl logs web ─► API server ─ kept connection ─► Connect(Pod web, sub "log", container=…, follow=…)
//	                                                   │
//	                                    route (one table) ─► find the pod and the attempt ─► frames on an api.Stream
//
// Start reading at server.go (the table). Every stream ends with a metav1.Status on api.ChannelError, as Kubernetes' exec does: Success, or
// Failure, with cause ExitCode when a process ended with another code than 0.
//
// Real Kubernetes' API server dials the kubelet's HTTPS port (10250) for this, which must be reachable; here the agent dials out.
package server
