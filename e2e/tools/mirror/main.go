// Command mirror is a controller-runtime program as people write them: for each ConfigMap that is to be mirrored there is a Secret of the same
// name and content, which goes with it. It stands for election, as several copies would.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

type mirror struct{ client.Client }

func (m mirror) Reconcile(ctx context.Context, r ctrl.Request) (ctrl.Result, error) {
	var from corev1.ConfigMap
	if err := m.Get(ctx, r.NamespacedName, &from); err != nil || from.Labels["mirrored"] != "yes" {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	to := corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Name}}
	what, err := controllerutil.CreateOrUpdate(ctx, m.Client, &to, func() error {
		to.Data = map[string][]byte{}
		for k := range maps.Keys(from.Data) {
			to.Data[k] = []byte(from.Data[k])
		}
		return controllerutil.SetControllerReference(&from, &to, m.Scheme())
	})
	if what != controllerutil.OperationResultNone {
		fmt.Println("MIRRORED", what, r.Name, from.Data["n"])
	}
	return ctrl.Result{}, err
}

func run() error {
	ctrl.SetLogger(klog.Background())
	namespace, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	if err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	m, err := ctrl.NewManager(config, ctrl.Options{LeaderElection: true, LeaderElectionID: "mirror", Metrics: server.Options{BindAddress: "0"},
		Cache: cache.Options{DefaultNamespaces: map[string]cache.Config{string(namespace): {}}}})
	if err != nil {
		return err
	}
	if err := ctrl.NewControllerManagedBy(m).For(&corev1.ConfigMap{}).Owns(&corev1.Secret{}).Complete(mirror{m.GetClient()}); err != nil {
		return err
	}
	return m.Start(ctrl.SetupSignalHandler())
}

func main() {
	if err := run(); err != nil {
		fmt.Println("FAILED", err)
		os.Exit(1)
	}
}
