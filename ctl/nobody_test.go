package ctl_test

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
)

// nobody is a server that does not answer.
type nobody struct{ api.Service }

func (nobody) List(context.Context, api.Target, api.ListOptions) (api.List, error) {
	return api.List{}, apierrors.NewServiceUnavailable("cannot reach the API server: is the cluster running? (ctl start)")
}
