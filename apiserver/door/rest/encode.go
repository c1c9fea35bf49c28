package rest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
)

// message is what the types of k8s.io/api can do.
type message interface {
	Size() int
	MarshalToSizedBuffer([]byte) (int, error)
}

// magic begins every answer in protobuf; a runtime.Unknown with the object's kind and bytes follows.
const magic = "k8s\x00"

// bytes encodes anything that has its kind set: an object, a Status, a Table …
func (f format) bytes(o runtime.Object) ([]byte, error) {
	if f.media == mediaProto {
		m, ok := o.(message)
		if !ok {
			return nil, fmt.Errorf("%T has no protobuf form", o)
		}
		b, err := enclose(o.GetObjectKind().GroupVersionKind(), m.Size())
		if err != nil {
			return nil, err
		}
		return appendMessage(b, 0, m)
	}
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return f.text(data)
}

// text finishes JSON.
func (f format) text(data []byte) ([]byte, error) {
	if f.media == mediaYAML {
		return yaml.JSONToYAML(data)
	}
	return append(data, '\n'), nil
}

// enclose begins an answer in protobuf, up to the object's bytes, for which there is room.
func enclose(gvk schema.GroupVersionKind, size int) ([]byte, error) {
	b, err := appendMessage(append(make([]byte, 0, size+128), magic...), 1, &runtime.TypeMeta{APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind})
	return protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.BytesType), uint64(size)), err
}

// appendMessage appends a field, or, as field 0, the bare message.
func appendMessage(b []byte, field protowire.Number, m message) ([]byte, error) {
	n := m.Size()
	if field > 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(n))
	}
	at := len(b)
	b = append(b, make([]byte, n)...)
	_, err := m.MarshalToSizedBuffer(b[at:])
	return b, err
}

// one encodes an object as the client wants to see it.
func (s *Server) one(f format, t api.Target, o api.Object) ([]byte, error) {
	switch f.as {
	case asMetadata:
		return f.bytes(f.partial(o))
	case asMetadataList:
		return nil, failure(406, metav1.StatusReasonNotAcceptable, fmt.Sprintf("you requested PartialObjectMetadataList, but the requested object is not a list (%T)", o))
	case asTable:
		return s.table(f, t, metav1.ListMeta{ResourceVersion: o.GetResourceVersion()}, []api.Object{o})
	}
	return f.bytes(o)
}

// partial is an object's metadata alone.
func (f format) partial(o api.Object) *metav1.PartialObjectMetadata {
	p := meta.AsPartialObjectMetadata(o)
	p.TypeMeta = metav1.TypeMeta{Kind: asMetadata, APIVersion: f.apiVersion()}
	return p
}

func (f format) apiVersion() string { return metav1.GroupName + "/" + f.version }

// many encodes a list as the client wants to see it.
func (s *Server) many(f format, t api.Target, l api.List) ([]byte, error) {
	m := metav1.ListMeta{ResourceVersion: l.Revision.String(), Continue: l.Continue}
	if l.Remaining > 0 {
		m.RemainingItemCount = &l.Remaining
	}
	switch f.as {
	case asMetadata:
		return nil, failure(406, metav1.StatusReasonNotAcceptable, fmt.Sprintf("you requested PartialObjectMetadata, but the requested object is a list (%sList)", t.Kind.Name))
	case asMetadataList:
		p := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{Kind: asMetadataList, APIVersion: f.apiVersion()}, ListMeta: m, Items: []metav1.PartialObjectMetadata{}}
		for _, o := range l.Items {
			p.Items = append(p.Items, *f.partial(o))
		}
		return f.bytes(p)
	case asTable:
		return s.table(f, t, m, l.Items)
	}
	if f.media == mediaProto {
		return protoList(t, m, l)
	}
	data, err := s.jsonList(t, m, l)
	if err != nil {
		return nil, err
	}
	return f.text(data)
}

// protoList: in every list of k8s.io/api the metadata is field 1 and the items are field 2. What is stored goes out as it is.
func protoList(t api.Target, m metav1.ListMeta, l api.List) (b []byte, err error) {
	size := 1 + protowire.SizeBytes(m.Size())
	for _, item := range l.Raw {
		size += 1 + protowire.SizeBytes(len(item))
	}
	for _, o := range l.Items {
		item, ok := o.(message)
		if !ok {
			return nil, fmt.Errorf("%T has no protobuf form", o)
		}
		size += 1 + protowire.SizeBytes(item.Size())
	}
	gvk := t.Kind.GVK(t.Version)
	gvk.Kind += "List"
	if b, err = enclose(gvk, size); err == nil {
		b, err = appendMessage(b, 1, &m)
	}
	for _, item := range l.Raw {
		b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), item)
	}
	for n := 0; err == nil && n < len(l.Items); n++ {
		b, err = appendMessage(b, 2, l.Items[n].(message))
	}
	return b, err
}

// jsonList leaves the items' kinds out: the list's says it.
func (s *Server) jsonList(t api.Target, m metav1.ListMeta, l api.List) ([]byte, error) {
	gvk := t.Kind.GVK(t.Version)
	b, err := json.Marshal(struct {
		metav1.TypeMeta
		metav1.ListMeta `json:"metadata"`
	}{metav1.TypeMeta{Kind: gvk.Kind + "List", APIVersion: gvk.GroupVersion().String()}, m})
	if err != nil {
		return nil, err
	}
	b = append(bytes.TrimSuffix(b, []byte("}")), `,"items":[`...)
	items := len(l.Raw) + len(l.Items)
	for n := range items {
		var text []byte
		if n < len(l.Raw) {
			text, err = s.texts.of(t.Kind, l.Raw[n])
		} else {
			text, err = item(t.Kind, t.Version, l.Items[n-len(l.Raw)])
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			b = slices.Grow(b, items*len(text)*9/8)
		} else {
			b = append(b, ',')
		}
		b = append(b, text...)
	}
	return append(b, "]}"...), nil
}

// table prints objects, each beside as much of it as the client has asked for.
func (s *Server) table(f format, t api.Target, m metav1.ListMeta, objects []api.Object) ([]byte, error) {
	columns, rows := s.Table(t.Kind, objects)
	table := &metav1.Table{TypeMeta: metav1.TypeMeta{Kind: asTable, APIVersion: f.apiVersion()}, ListMeta: m, ColumnDefinitions: columns, Rows: []metav1.TableRow{}}
	if f.headless {
		table.ColumnDefinitions = nil
	}
	for n, o := range objects {
		row := metav1.TableRow{Cells: rows[n]}
		switch f.include {
		case metav1.IncludeNone:
		case metav1.IncludeObject:
			row.Object.Object = o
		default:
			row.Object.Object = f.partial(o)
		}
		table.Rows = append(table.Rows, row)
	}
	return f.bytes(table)
}

// frame is one event of a watch: a line of JSON, or a metav1.WatchEvent behind its length.
func (f format) frame(event api.EventType, object []byte) ([]byte, error) {
	if f.media == mediaJSON {
		b := fmt.Appendf(nil, `{"type":%q,"object":`, event)
		return append(append(b, bytes.TrimSuffix(object, []byte("\n"))...), "}\n"...), nil
	}
	e := metav1.WatchEvent{Type: string(event), Object: runtime.RawExtension{Raw: object}}
	return appendMessage(binary.BigEndian.AppendUint32(nil, uint32(e.Size())), 0, &e)
}
