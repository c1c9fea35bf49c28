// Package sim pretends to be a container runtime: no processes, no files, no root, any operating system. A container is a record and, if
// it is to end by itself, one timer; so a laptop holds thousands of nodes, and inside a synctest bubble hours pass in milliseconds.
//
// Every image exists and its containers run for ever, unless told otherwise. Words of the container's command and args:
//
//	sim:start-after=2s    starting takes this long
//	sim:exit=3            ends with this exit code, at once unless sim:after says when
//	sim:after=5s          ends after this long, with exit code 0 unless sim:exit says another
//	sim:crash-every=10s   runs this long, then ends with exit code 1
//	sim:ready-after=5s    its readiness probe fails so long; other probes succeed at once
//	sim:ready-for=1m      … and fails again after this time
//	sim:print=hello       prints this line when it starts
//	sim:http=80           answers HTTP on this port of its pod, with its name and what was asked
//	sim:oom               is killed for want of memory, at once unless sim:after says when
//	sim:ignore-term       does not end at SIGTERM, only at SIGKILL
//
// Names of images, without tag or digest:
//
//	…missing        the registry does not have it
//	…unauthorized   the registry refuses the login
//	…slow           pulling takes 10 s
//
// A container whose command is "/missing" cannot run. Exec knows echo, exit, true, false and cat.
//
// Start reading at script.go (the table above as data), then container.go. Invariant: nothing happens while the one mutex is held.
//
// Real Kubernetes is tested at scale with hollow nodes (kubemark) or with KWOK, which writes the Pods' status without any agent; here the
// real agent runs over simulated containers.
package sim
