package node

import (
	"net"
	goruntime "runtime"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

const maxPods = 110

// Capacity is what this machine has; root is on the disk that pods use.
func Capacity(root string) corev1.ResourceList {
	memory, disk := sizes(root)
	return corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(int64(goruntime.NumCPU()), resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(memory, resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(disk, resource.BinarySI),
		corev1.ResourcePods:             *resource.NewQuantity(maxPods, resource.DecimalSI),
	}
}

// Simulated is what a simulated node has.
func Simulated() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("8"),
		corev1.ResourceMemory:           resource.MustParse("32Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
		corev1.ResourcePods:             *resource.NewQuantity(maxPods, resource.DecimalSI),
	}
}

const localhost = "127.0.0.1"

// Address is the first IPv4 address of the machine that others may reach; that of loopback if there is no other.
func Address() string {
	links, err := net.Interfaces()
	if err != nil {
		return localhost
	}
	for _, l := range links {
		if l.Flags&net.FlagUp == 0 || l.Flags&net.FlagLoopback != 0 || strings.HasPrefix(l.Name, "vo") {
			continue
		}
		addresses, _ := l.Addrs() // a link that has just gone has none
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
				return n.IP.String()
			}
		}
	}
	return localhost
}
