//go:build !linux

package node

import corev1 "k8s.io/api/core/v1"

// Only simulated nodes run here.
func sizes(string) (memory, disk int64) { return 8 << 30, 64 << 30 }

func machine() corev1.NodeSystemInfo { return corev1.NodeSystemInfo{} }
