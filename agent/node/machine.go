package node

import (
	"cmp"
	"fmt"
	"net"
	goruntime "runtime"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"optimist/internal/port"
)

const maxPods = 110

// Capacity is what this machine has; root is on the disk that pods use.
func Capacity(root string) corev1.ResourceList {
	memory, disk := sizes(root)
	return resources(int64(goruntime.NumCPU()), memory, disk)
}

// Simulated is what a simulated node has.
func Simulated() corev1.ResourceList { return resources(8, 32<<30, 100<<30) }

func resources(cpus, memory, disk int64) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(cpus, resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(memory, resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(disk, resource.BinarySI),
		corev1.ResourcePods:             *resource.NewQuantity(maxPods, resource.DecimalSI),
	}
}

const localhost = "127.0.0.1"

// Address is the machine's IPv4 address that others may reach: the current one while the machine has it, else that of its way out, else the
// first; loopback's if there is no other.
func Address(current string) string {
	all := addresses()
	for _, a := range []string{current, port.Outward()} {
		if slices.Contains(all, a) {
			return a
		}
	}
	return append(all, localhost)[0]
}

// Check refuses an address that is not this machine's, or that others cannot reach.
func Check(address string) error {
	if all := addresses(); !slices.Contains(all, address) {
		return fmt.Errorf("%q is no IPv4 address of this machine that others could reach; it has %s", address, cmp.Or(strings.Join(all, ", "), "none"))
	}
	return nil
}

func addresses() (all []string) {
	links, _ := net.Interfaces() // none can be read: there is none
	for _, l := range links {
		if l.Flags&net.FlagUp == 0 || l.Flags&net.FlagLoopback != 0 {
			continue
		}
		addresses, _ := l.Addrs() // a link that has just gone has none
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
				all = append(all, n.IP.String())
			}
		}
	}
	return all
}
