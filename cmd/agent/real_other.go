//go:build !linux

package main

import (
	"errors"

	"optimist/agent/network"
	"optimist/agent/proxy"
	"optimist/agent/runtime"
)

func (f *flags) real(string, proxy.Net) (runtime.Runtime, network.Network, proxy.Table, error) {
	return nil, nil, nil, errors.New("containers need Linux; use --runtime sim here")
}
