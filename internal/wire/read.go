package wire

import (
	"encoding/json"

	kubejson "k8s.io/apimachinery/pkg/util/json"

	"optimist/internal/api"
	"optimist/proto"
)

// EncodeList translates a page.
func EncodeList(l api.List) (*proto.ListReply, error) {
	p := &proto.ListReply{Items: l.Raw, Revision: int64(l.Revision), Continue: l.Continue, Remaining: l.Remaining}
	var err error
	for _, o := range l.Items {
		data, err := api.Marshal(o)
		if err != nil {
			return nil, err
		}
		p.Items = append(p.Items, data)
	}
	if l.Columns == nil {
		return p, nil
	}
	p.Rows = make([][]byte, len(l.Rows))
	for i, cells := range l.Rows {
		if p.Rows[i], err = json.Marshal(cells); err != nil {
			return nil, err
		}
	}
	p.Columns, err = json.Marshal(l.Columns)
	return p, err
}

// DecodeList needs the target of the request.
func DecodeList(t api.Target, p *proto.ListReply) (api.List, error) {
	l := api.List{Items: make([]api.Object, len(p.Items)), Revision: api.Revision(p.Revision), Continue: p.Continue, Remaining: p.Remaining}
	var err error
	for i, data := range p.Items {
		if l.Items[i], err = api.Unmarshal(t.Kind, t.Version, data); err != nil {
			return l, err
		}
	}
	if p.Columns == nil {
		return l, nil
	}
	l.Rows = make([][]any, len(p.Rows))
	for i, data := range p.Rows {
		if err = kubejson.Unmarshal(data, &l.Rows[i]); err != nil { // keeps whole numbers whole
			return l, err
		}
	}
	return l, json.Unmarshal(p.Columns, &l.Columns)
}

// EncodeEvents translates a batch of a watch.
func EncodeEvents(batch []api.Event) (*proto.WatchBatch, error) {
	p := &proto.WatchBatch{Events: make([]*proto.Event, len(batch))}
	all := make([]proto.Event, len(batch))
	for i, e := range batch {
		p.Events[i] = &all[i]
		if err := encodeEvent(&all[i], e); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func encodeEvent(p *proto.Event, e api.Event) (err error) {
	p.Type, p.Revision, p.InitialEnd = string(e.Type), int64(e.Revision), e.InitialEnd
	if e.Object != nil {
		if p.Object, err = api.Marshal(e.Object); err != nil {
			return err
		}
	}
	if e.Cells != nil {
		p.Cells, err = json.Marshal(e.Cells)
	}
	return err
}

// DecodeEvents needs the target of the watch.
func DecodeEvents(t api.Target, p *proto.WatchBatch) ([]api.Event, error) {
	batch := make([]api.Event, len(p.Events))
	for i, e := range p.Events {
		batch[i] = api.Event{Type: api.EventType(e.Type), Revision: api.Revision(e.Revision), InitialEnd: e.InitialEnd}
		if err := decodeEvent(t, e, &batch[i]); err != nil {
			return nil, err
		}
	}
	return batch, nil
}

func decodeEvent(t api.Target, p *proto.Event, e *api.Event) (err error) {
	if e.Type != api.Bookmark { // an object may have an empty encoding, a bookmark has none
		if e.Object, err = api.Unmarshal(t.Kind, t.Version, p.Object); err != nil {
			return err
		}
	}
	if p.Cells != nil {
		err = kubejson.Unmarshal(p.Cells, &e.Cells)
	}
	return err
}
