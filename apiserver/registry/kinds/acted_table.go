package kinds

import corev1 "k8s.io/api/core/v1"

// The tables of what is stored though nothing acts on it. A row goes when a version acts on its field.

// podStored is for pods and, with a prefix, for templates of pods.
// Acted on, and so not here: what makes a process (image, command, args, env, envFrom, workingDir, stdin, tty), its amounts of cpu and
// memory, restartPolicy, activeDeadlineSeconds, terminationGracePeriodSeconds, nodeName, nodeSelector, tolerations, hostNetwork, hostname, imagePullSecrets;
// runAsUser, runAsGroup, runAsNonRoot, privileged and readOnlyRootFilesystem of the security contexts; ports, which only inform.
var podStored = append([]unacted{
	{path: "spec.affinity"},
	{path: "spec.automountServiceAccountToken", quiet: "false"},
	{path: "spec.dnsConfig"},
	{path: "spec.dnsPolicy", quiet: string(corev1.DNSClusterFirst)},
	{path: "spec.ephemeralContainers"},
	{path: "spec.hostAliases"},
	{path: "spec.hostIPC"},
	{path: "spec.hostPID"},
	{path: "spec.hostUsers", quiet: "true"},
	{path: "spec.hostnameOverride"},
	{path: "spec.os", quiet: "{linux}"},
	{path: "spec.overhead"},
	{path: "spec.priorityClassName", note: "orders the waiting pods, but nothing in this version preempts running ones for it"},
	{path: "spec.readinessGates"},
	{path: "spec.resourceClaims"},
	{path: "spec.resources"},
	{path: "spec.runtimeClassName"},
	{path: "spec.securityContext.appArmorProfile"},
	{path: "spec.securityContext.fsGroup"},
	{path: "spec.securityContext.fsGroupChangePolicy"},
	{path: "spec.securityContext.seLinuxChangePolicy"},
	{path: "spec.securityContext.seLinuxOptions"},
	{path: "spec.securityContext.seccompProfile"},
	{path: "spec.securityContext.supplementalGroups"},
	{path: "spec.securityContext.supplementalGroupsPolicy"},
	{path: "spec.securityContext.sysctls"},
	{path: "spec.securityContext.windowsOptions"},
	{path: "spec.serviceAccountName", quiet: "default"},
	{path: "spec.setHostnameAsFQDN", quiet: "false"},
	{path: "spec.shareProcessNamespace", quiet: "false"},
	{path: "spec.subdomain"},
	{path: "spec.topologySpreadConstraints"},
	{path: "spec.volumes"},
}, append(containerStored("spec.initContainers[*]."), containerStored("spec.containers[*].")...)...)

func containerStored(prefix string) []unacted {
	return under(prefix, []unacted{
		{path: "lifecycle"},
		{path: "livenessProbe"},
		{path: "ports[*].hostIP"},
		{path: "ports[*].hostPort"},
		{path: "readinessProbe"},
		{path: "resizePolicy"},
		{path: "resources.claims"},
		{path: "restartPolicyRules"},
		{path: "securityContext.allowPrivilegeEscalation"},
		{path: "securityContext.appArmorProfile"},
		{path: "securityContext.capabilities"},
		{path: "securityContext.procMount", quiet: string(corev1.DefaultProcMount)},
		{path: "securityContext.seLinuxOptions"},
		{path: "securityContext.seccompProfile"},
		{path: "securityContext.windowsOptions"},
		{path: "startupProbe"},
		{path: "stdinOnce"},
		{path: "terminationMessagePath", quiet: corev1.TerminationMessagePathDefault},
		{path: "terminationMessagePolicy", quiet: string(corev1.TerminationMessageReadFile)},
		{path: "volumeDevices"},
		{path: "volumeMounts"},
	})
}

// templateStored is podStored for the pods that an object will make.
func templateStored(prefix string) []unacted { return under(prefix, podStored) }

func under(prefix string, rows []unacted) []unacted {
	moved := make([]unacted, len(rows))
	for i, row := range rows {
		row.path = prefix + row.path
		moved[i] = row
	}
	return moved
}

var serviceStored = []unacted{
	{path: "spec.ports", note: "an address is reserved for the Service, but nothing in this version routes to it"},
	{path: "spec.externalIPs"},
	{path: "spec.externalName", note: "is stored, but no DNS server in this version answers with it"},
	{path: "spec.loadBalancerClass"},
	{path: "spec.loadBalancerIP"},
	{path: "spec.loadBalancerSourceRanges"},
	{path: "spec.publishNotReadyAddresses"},
	{path: "spec.trafficDistribution"},
}

var endpointSliceStored = []unacted{
	{path: "endpoints[*].hints"},
}

var nodeStored = []unacted{
	{path: "spec.configSource"},
	{path: "spec.podPreemptionPolicy"},
	{path: "spec.providerID"},
}

var leaseStored = []unacted{
	{path: "spec.preferredHolder"},
	{path: "spec.strategy"},
}
