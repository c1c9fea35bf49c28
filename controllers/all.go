package controllers

import (
	"optimist/controllers/deployment"
	"optimist/controllers/endpointslice"
	"optimist/controllers/garbage"
	"optimist/controllers/namespace"
	"optimist/controllers/nodelifecycle"
	"optimist/controllers/podgc"
	"optimist/controllers/replicaset"
	"optimist/controllers/serviceaccount"
	"optimist/controllers/tainteviction"
	"optimist/internal/reconcile"
)

// All declares every controller. deps gives each, by name, what it works with; it does no I/O, so a test can read the declarations.
func All(deps func(name string) reconcile.Deps) []reconcile.Controller {
	return []reconcile.Controller{
		deployment.New(deps(deployment.Name)),
		replicaset.New(deps(replicaset.Name)),
		endpointslice.New(deps(endpointslice.Name)),
		garbage.New(deps(garbage.Name)),
		namespace.New(deps(namespace.Name)),
		serviceaccount.New(deps(serviceaccount.Name)),
		nodelifecycle.New(deps(nodelifecycle.Name)),
		tainteviction.New(deps(tainteviction.Name)),
		podgc.New(deps(podgc.Name)),
	}
}
