// Command informer is a client-go program as people write them: a shared informer on the ConfigMaps of its own namespace, in protobuf, with the
// credentials of its pod. It prints a line for each thing that its handlers are told.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Println("FAILED", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	config.ContentType, config.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	namespace, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(string(namespace)),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = "followed=yes" }))
	informer := factory.Core().V1().ConfigMaps().Informer()
	tell := func(what string, o any) {
		if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
			what, o = "MISSED "+what, gone.Obj
		}
		m := o.(*corev1.ConfigMap)
		fmt.Println(what, m.Name, m.Data["n"])
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { tell("ADDED", o) },
		UpdateFunc: func(_, o any) { tell("UPDATED", o) },
		DeleteFunc: func(o any) { tell("DELETED", o) },
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return ctx.Err()
	}
	fmt.Println("SYNCED")
	<-ctx.Done()
	return nil
}
