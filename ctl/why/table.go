package why

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
)

// rules is every cause that is known. Of several that are true the first is named: it is the one that has to be dealt with first. Rules
// without a name only say which other objects to ask about.
func rules() []rule {
	return slices.Concat([]rule{
		// What an object hangs on, before what it is.
		on(api.DeploymentKind, "controllers not running", "the controllers keep no connection, and the Deployment is not as they would have left it", "starts them", noControllers[*appsv1.Deployment]),
		on(api.ReplicaSetKind, "controllers not running", "the same of a ReplicaSet", "starts them", noControllers[*appsv1.ReplicaSet]),
		on(api.NamespaceKind, "controllers not running", "the same of a namespace that is to end", "starts them", noControllers[*corev1.Namespace]),
		on(api.NodeKind, "controllers not running", "the same of a node that is ready again, but still has a taint", "starts them", noControllers[*corev1.Node]),
		on(api.PodKind, "node does not exist", "`spec.nodeName` names a node that is not there", "takes `nodeName` out, or removes a pod that was to end there", onMissingNode),
		on(api.PodKind, "", "", "", onSickNode),
		{"finalizer holds it", nil, "the deletion waits for nothing but a finalizer", "takes it off", held},
		on(api.NamespaceKind, "", "", "", content),

		on(api.NodeKind, "node silent", "its agent keeps no connection, or has not renewed its lease for 40 s", "starts the agent", silent),
		on(api.NodeKind, "runtime down", "condition Ready is False: the container runtime is down", "starts what has ended", runtimeDown),
		on(api.NodeKind, "node not ready", "condition Ready is False for another reason", "shows the agent's log", notReady),

		on(api.DeploymentKind, "rollout paused", "`spec.paused`, and no ReplicaSet has the present template", "resumes it", paused),
		on(api.DeploymentKind, "", "", "", waitsForSets),
		on(api.DeploymentKind, "rollout stuck", "condition Progressing is False, and nothing below says why", "goes back to the revision before", pastDeadline),
		on(api.ReplicaSetKind, "pods refused", "condition ReplicaFailure", "goes back to the revision before, or takes out what was refused", refusedPod),
		on(api.ReplicaSetKind, "", "", "", waitsForPods),

		on(api.PodKind, "scheduling gate", "`spec.schedulingGates`", "opens it", gated),
		on(api.PodKind, "other scheduler", "`spec.schedulerName` names one that this cluster does not have", "names this cluster's", otherScheduler),
		on(api.PodKind, "no scheduler", "no scheduler keeps a connection", "starts one", noScheduler),
		on(api.PodKind, "fits nowhere", "the scheduler, asked, refuses every node", "makes the smallest change after which a node would take it", fitsNowhere),
		on(api.PodKind, "fits nowhere at all", "the same, and no change that is known would help", "describes the nearest node", fitsNothing),

		onContainer("image needs login", "the registry refuses the login", "names the Secret that has one, or goes back to the revision before", imageNeedsLogin),
	}, pullRules(), []rule{
		onContainer("configuration missing", "`CreateContainerConfigError`: no such ConfigMap, Secret or key", "makes it, with VALUE for you to fill in, or goes back", missingConfig),
		on(api.PodKind, "volume not mounted", "no container has started, and the newest warning is `FailedMount`", "makes the ConfigMap, Secret or key that misses, or goes back", unmounted),
		onContainer("command cannot run", "`RunContainerError`, `StartError`", "goes back, or takes the command out, so that the image's own runs", cannotRun),
		onContainer("out of memory", "`OOMKilled`", "doubles the limit, or goes back", outOfMemory),
		onContainer("crash", "exit code above 0", "goes back, or shows the log", crashes),
		onContainer("ends by itself", "exit code 0, again and again", "goes back", endsWell),
		onContainer("container cannot start", "any other reason to wait that comes with a message", "goes back", otherTrouble),
		on(api.PodKind, "node cannot go on", "the newest warning is `FailedCreatePodSandBox` or `FailedKillPod`", "shows the agent's log", notStarted),
		on(api.PodKind, "readiness gate", "a condition of `spec.readinessGates` is not True", "sets it", readinessGate),
	})
}

// stateOf describes an object about which no rule has anything to say, and reports whether it is as it should be.
func stateOf(f *Facts, o api.Object) (well bool, state string) {
	switch o := o.(type) {
	case *corev1.Pod:
		return podState(f, o)
	case *appsv1.Deployment:
		return deploymentState(f, o)
	case *appsv1.ReplicaSet:
		return setState(f, o)
	case *corev1.Node:
		return nodeState(f, o)
	case *corev1.Namespace:
		return namespaceState(f, o)
	}
	switch {
	case o.GetDeletionTimestamp() != nil:
		return false, "is ending"
	case slices.Contains(api.Waiting, api.Builtin.Of(o)):
		return false, "is stored, but nothing in this version acts on it"
	}
	return true, "exists; there is nothing more to say about it"
}
