package volume

import (
	"context"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
	"optimist/internal/informer"
)

// source is a ConfigMap or Secret that pods have mounted.
type source struct {
	kind            *api.Kind
	namespace, name string
}

// follower watches one source for all pods that have mounted it.
type follower struct {
	pods map[types.UID]bool
	stop context.CancelFunc // nil until it runs
}

// follow tells a pod of a source's changes, until it is forgotten. A node may watch only single objects that its pods name: so one watch each.
func (v *Volumes) follow(s source, uid types.UID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	one := v.pods[uid]
	if v.Root == "" || v.Spawn == nil || one.refs[s] {
		return
	}
	one.refs[s] = true
	f := v.sources[s]
	if f == nil {
		f = &follower{pods: map[types.UID]bool{}}
		v.sources[s] = f
		v.Spawn(func(ctx context.Context) { v.watch(ctx, s, f) })
	}
	f.pods[uid] = true
}

// forget ends what is done for a pod.
func (v *Volumes) forget(uid types.UID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	one := v.pods[uid]
	if one == nil {
		return
	}
	delete(v.pods, uid)
	for s := range one.refs {
		f := v.sources[s]
		if delete(f.pods, uid); len(f.pods) > 0 {
			continue
		}
		delete(v.sources, s)
		if f.stop != nil {
			f.stop()
		}
	}
}

func (v *Volumes) watch(ctx context.Context, s source, f *follower) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	v.mu.Lock()
	f.stop = stop
	gone := v.sources[s] != f
	v.mu.Unlock()
	if gone {
		return
	}
	set := informer.NewSet(v.Service)
	set.Log = v.Log
	informer.Watch(set, api.Of[api.Object]{Kind: s.kind}, informer.Options[api.Object]{Namespace: s.namespace,
		Fields: fields.OneTermEqualSelector("metadata.name", s.name), Trim: informer.Metadata})
	set.Listen(s.kind, func(informer.Change) { v.changed(f) }) // the first state too: it may be newer than what was mounted
	_ = set.Run(ctx)                                           // ends with ctx alone
}

func (v *Volumes) changed(f *follower) {
	v.mu.Lock()
	var all []types.UID
	for uid := range f.pods {
		v.pods[uid].Changed = true
		all = append(all, uid)
	}
	v.mu.Unlock()
	for _, uid := range all {
		v.Changed(uid)
	}
}
