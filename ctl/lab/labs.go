package lab

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// All are the labs, in their order.
func All() []Lab { return []Lab{lifeOfAPod, reconcileLoop, breakIt, packetByPacket, loseANode} }

var lifeOfAPod = Lab{
	Number: 1, Title: "The life of a pod", Page: "docs/labs/1-life-of-a-pod.md",
	Question: "of all parts of the cluster, who creates the Pod object?",
	Answers:  []string{"replicaset", "system:controller:replicaset", "controllers/replicaset"},
	Steps: []Step{
		{"the boat floats: its Deployment has a running pod", "ctl apply -n lab-1 -f docs/labs/boat.yaml, then ctl rollout status -n lab-1 deployment/boat",
			func(at look) bool { return at.available("boat", 1) }},
		{"it was rebuilt: a second template has a second ReplicaSet", "sed s/web:1/web:2/ docs/labs/boat.yaml | ctl apply -n lab-1 -f -",
			func(at look) bool { return at.setsOf("boat") >= 2 }},
		{"a stowaway runs, and no scheduler has seen it", "ctl apply -n lab-1 -f docs/labs/stowaway.yaml",
			func(at look) bool { return running(at.pod("stowaway")) && at.said("stowaway", "Scheduled") == 0 }},
		{"the castaway was rescued: the pod that nobody wanted runs", "ctl apply -n lab-1 -f docs/labs/castaway.yaml, see what becomes of it, and do as the page says",
			func(at look) bool {
				return running(at.pod("castaway")) && at.pod("castaway").Spec.SchedulerName == corev1.DefaultSchedulerName
			}},
	},
}

var reconcileLoop = Lab{
	Number: 2, Title: "The reconcile loop", Page: "docs/labs/2-the-reconcile-loop.md",
	Question: "three pods; one of them gets another label: how many are there in the end?",
	Answers:  []string{"4", "four"},
	Steps: []Step{
		{"a pod was deleted, and replaced", "delete one of the pods with app=fleet in namespace lab-2",
			func(at look) bool { return at.said("fleet", "SuccessfulCreate") > 3+at.strays("drydock") }},
		{"a pod in dry dock belongs to nobody, and was replaced too", "give a pod with app=fleet the label app=drydock",
			func(at look) bool { return at.strays("drydock") > 0 && at.said("fleet", "SuccessfulCreate") > 3 }},
		{"a stray was taken in, and one pod was too many", "ctl apply -n lab-2 -f docs/labs/stray.yaml",
			func(at look) bool { return at.said("fleet", "SuccessfulDelete") > 0 }},
		{"the fleet has a new admiral: its pods are older than their ReplicaSet", "ctl delete rs fleet -n lab-2 --cascade=orphan, then ctl apply -n lab-2 -f docs/labs/fleet.yaml",
			func(at look) bool { return at.older("fleet") == 3 }},
	},
}

var breakIt = Lab{
	Number: 3, Title: "Break it", Page: "docs/labs/3-break-it.md",
	Question: "whose death ends a container that runs: the API server's, the scheduler's, the controllers', the agent's, or nobody's?",
	Answers:  []string{"nobody", "nobody's", "none", "no part's"},
	Steps: []Step{
		{"the scheduler has died, and five pods run all the same", "stop and start the scheduler; meanwhile scale deployment/harbor to 5",
			func(at look) bool { return at.turns["scheduler"] > 0 && at.available("harbor", 5) }},
		{"the controllers have died while pods were deleted, which were replaced", "stop and start the controllers; meanwhile delete the pods with app=harbor",
			func(at look) bool { return at.turns["controllers"] > 0 && at.said("harbor", "SuccessfulCreate") > 5 }},
		{"a pod has waited for the agent of its node", "stop node/n1, apply docs/labs/pinned.yaml, and start node/n1 some seconds later",
			func(at look) bool { return running(at.pod("pinned")) && waitedForAgent(at.pod("pinned")) }},
		{"the API server has died, and serves again", "stop and start the apiserver",
			func(at look) bool { return at.logged["serving"] }},
		{"all have died at once, and what ran runs again", "kill -9 the process that holds the whole simulation, then ctl start",
			func(at look) bool { return at.restarted("harbor") && at.available("harbor", 5) }},
	},
}

var packetByPacket = Lab{
	Number: 4, Title: "A Service, packet by packet", Page: "docs/labs/4-a-service.md", Real: true,
	Question: "which process has a Service's ClusterIP, and receives what is sent there?",
	Answers:  []string{"none", "nobody", "no process", "no one"},
	Steps: []Step{
		{"the pier is open: three pods behind a Service", "ctl apply -n lab-4 -f docs/labs/pier.yaml, then ctl rollout status -n lab-4 deployment/pier",
			func(at look) bool { return at.available("pier", 3) }},
		{"the table of Services was deleted on n1, and came back", "nsenter --net=/run/netns/optimist-lab-real-n1 nft delete table ip optimist_lab-real_n1_services; within 30 s it is there again",
			func(at look) bool { return at.logged[rewritten] }},
		{"a pod ran without being ready", "make one sick as the page says, and see who still gets requests",
			func(at look) bool { return at.said("pier", "Unhealthy") > 0 }},
		{"there was a Service with nobody behind it", "scale deployment/pier to 0, ask, and scale it to 3 again",
			func(at look) bool { return at.available("pier", 3) && at.said("pier", "ScalingReplicaSet") >= 3 }},
	},
}

// rewritten is what an agent logs when it mends the table (agent/proxy).
const rewritten = "somebody changed the table of Services; writing it anew"

var loseANode = Lab{
	Number: 5, Title: "Lose a node", Page: "docs/labs/5-lose-a-node.md",
	Question: "a node's cable is pulled: after how many seconds does anybody in the cluster act on it?",
	Answers:  []string{"50", "50 s", "50s", "50 seconds", "fifty", "fifty seconds"},
	Steps: []Step{
		{"n2 fell silent, and its buoy no longer counted as ready", "ctl node cut n2 --name lab, and wait a minute",
			func(at look) bool { return at.said("buoy", "NodeNotReady") > 0 }},
		{"the buoy was driven away 20 s later, and replaced elsewhere", "wait with n2 cut off until ctl get pods -n lab-5 shows another buoy",
			func(at look) bool { return at.said("buoy", "TaintManagerEviction") > 0 && at.available("buoy", 3) }},
		{"somebody has vouched for n2's being off", "ctl taint nodes n2 node.kubernetes.io/out-of-service=yes:NoExecute, while it is cut off",
			func(at look) bool { return at.said("anchor", "TaintManagerEviction") > 0 }},
		{"n2 is back, the anchor lies there again, and nothing is there twice", "ctl node heal n2 --name lab, and ctl taint nodes n2 node.kubernetes.io/out-of-service-",
			func(at look) bool {
				return at.said("anchor", "TaintManagerEviction") > 0 && at.available("anchor", 1) && at.available("buoy", 3) && len(at.pods) == 4
			}},
	},
}

// older counts the pods of a set that existed before it did.
func (at look) older(set string) (n int) {
	s, ok := named(at.sets, set)
	for _, p := range at.pods {
		if ok && metav1.IsControlledBy(p, s) && p.CreationTimestamp.Before(&s.CreationTimestamp) {
			n++
		}
	}
	return n
}

// waitedForAgent reports whether a pod was bound well before its agent saw it.
func waitedForAgent(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && p.Status.StartTime != nil {
			return p.Status.StartTime.Sub(c.LastTransitionTime.Time) >= 2*time.Second
		}
	}
	return false
}

// restarted reports whether containers of an app's pods have been started again.
func (at look) restarted(app string) bool {
	for _, p := range at.pods {
		for _, c := range p.Status.ContainerStatuses {
			if p.Labels["app"] == app && c.RestartCount > 0 {
				return true
			}
		}
	}
	return false
}
