// Package cluster is the life of a cluster on this machine: up, stop, start, down; and of a node of a cluster whose API server is elsewhere: join, reset.
//
//	ctl up ──▶ folder, certificates, configuration ──▶ supervisor (a detached `ctl supervise`) ──▶ containerd
//	   │                                                   │ restarts what dies                  ├▶ apiserver
//	   └── waits until all is Ready                        │ processes.json: who runs            ├▶ scheduler, controllers
//	                                                       └─────────────────────────────────────└▶ agent
//
// The supervisor holds nothing that matters: killed, the others run on, and `ctl start` begins a new one which finds them in processes.json and
// watches over them again. With --sim there is no process but the supervisor: the whole cluster runs inside it (package inprocess).
//
// The one node of a cluster is the machine itself. Several (up --nodes 3) have a network namespace each, into which the supervisor starts their agents by nsenter:
//
//	ob<hash> 10.87.0.1/24, a bridge: the API server for nodes and pods     nft table: masquerade outwards, nobody else's way in
//	   ├─ op<hash> ── eth0 10.87.0.2 in optimist-<cluster>-n1              `ctl node cut n1` takes its port down;
//	   └─ op<hash> ── eth0 10.87.0.3 in optimist-<cluster>-n2              nodes.go, links_linux.go, obey_linux.go
//
// Start reading at config.go (what a cluster is), up.go, then supervisor.go. All files that `up` makes lie in two folders,
// Root and Run; `down` ends the processes, asks the agent to take its pods and network away, and removes both folders.
//
// Real Kubernetes leaves this to kubeadm, kind, minikube or k3s, and watching over processes to systemd and static pods.
package cluster
