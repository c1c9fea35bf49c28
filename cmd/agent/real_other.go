//go:build !linux

package main

import (
	"errors"

	"optimist/agent/network"
	"optimist/agent/runtime"
)

func (f *flags) real(string) (runtime.Runtime, network.Network, error) {
	return nil, nil, errors.New("containers need Linux; use --runtime sim here")
}
