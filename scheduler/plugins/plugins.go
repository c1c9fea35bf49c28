// Package plugins holds the scheduler's rules, one a file: filters say which nodes cannot take a pod, and why; scorers say which of
// the others would be better.
//
//	filter             asks                                            wakes on
//	Unschedulable      was the node cordoned?                           node added, taints
//	TaintToleration    does the pod tolerate the node's taints?         node added, taints
//	NodeSelector       has the node the labels that the pod wants?      node added, labels
//	NodePorts          are the host ports free that the pod wants?      node added, pod gone
//	Resources          is enough left of what the pod requests?         node added, allocatable, pod gone
//
//	scorer             prefers
//	Spread             nodes with fewer pods of the same owner
//	LeastAllocated     nodes with more left
//	PreferNoSchedule   nodes without taints that advise against it
//
// A Pod whose spec.nodeName is set already never comes here: nobody has to choose.
//
// Real Kubernetes has about twenty more (affinity, topology spread, volumes …); they come here as files beside these.
package plugins

import "optimist/scheduler/framework"

// Filters in the order in which they are asked; the first reason wins, so the most telling come first.
func Filters() []framework.Filter {
	return []framework.Filter{Unschedulable{}, TaintToleration{}, NodeSelector{}, NodePorts{}, Resources{}}
}

// Scorers whose points are added up.
func Scorers() []framework.Scorer {
	return []framework.Scorer{Spread{}, LeastAllocated{}, PreferNoSchedule{}}
}
