package wire

import (
	"testing"

	gproto "google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
	"optimist/proto"
)

// FuzzDecodeRead: targets, selectors and options of lists and watches, and what servers answer to them: any bytes.
func FuzzDecodeRead(f *testing.F) {
	pods := api.Target{Kind: api.PodKind, Version: "v1"}
	event := &proto.WatchBatch{Events: []*proto.Event{{}}}
	for _, m := range []gproto.Message{EncodeWatch(pods, api.WatchOptions{Selector: labels.Everything()}), EncodeListOptions(api.ListOptions{Limit: 1}), &proto.ListReply{}, event} {
		seed, err := gproto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = Outcome(data) // an error, or none
		watch, list, batch, options := &proto.WatchRequest{}, &proto.ListReply{}, &proto.WatchBatch{}, &proto.ListOptions{}
		if gproto.Unmarshal(data, watch) == nil {
			if target, _, err := DecodeWatch(api.Builtin, watch); err == nil && target.Kind == nil {
				t.Error("a target without a kind")
			}
		}
		if gproto.Unmarshal(data, options) == nil {
			_, _ = DecodeListOptions(options) // may be refused
		}
		if gproto.Unmarshal(data, list) == nil {
			_, _ = DecodeList(pods, list)
		}
		if gproto.Unmarshal(data, batch) == nil {
			if events, err := DecodeEvents(pods, batch); err == nil && len(events) != len(batch.Events) {
				t.Errorf("%d events became %d", len(batch.Events), len(events))
			}
		}
	})
}
