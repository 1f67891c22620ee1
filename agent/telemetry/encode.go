package telemetry

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/gengfu/gengfu/probes/semconv"
)

// Field numbers of OTLP's trace.proto, common.proto and resource.proto.
const (
	fieldResourceSpans = 1 // of TracesData

	fieldResource       = 1 // of ResourceSpans
	fieldScopeSpans     = 2
	fieldResourceSchema = 3

	fieldScope = 1 // of ScopeSpans
	fieldSpans = 2

	fieldTraceID     = 1 // of Span
	fieldSpanID      = 2
	fieldTraceState  = 3
	fieldParent      = 4
	fieldName        = 5
	fieldKind        = 6
	fieldStart       = 7
	fieldEnd         = 8
	fieldAttributes  = 9
	fieldDroppedAttr = 10
	fieldStatus      = 15
	fieldFlags       = 16

	fieldMessage = 2 // of Status
	fieldCode    = 3

	fieldKey   = 1 // of KeyValue
	fieldValue = 2

	fieldString = 1 // of AnyValue
	fieldBool   = 2
	fieldInt    = 3
	fieldDouble = 4
	fieldArray  = 5

	fieldValues = 1 // of ArrayValue
)

// encoder writes the spans of a trace as one TracesData message. It writes the
// wire format itself: building the messages of the generated code first cost as
// much as all that a trace's spans did until then. What only the generated code
// can do, which our spans never hold, is left to it.
type encoder struct {
	head []byte // of the one ResourceSpans, up to its ScopeSpans: the resource
	tail []byte // after them: the schema
	pool sync.Pool
}

// scratch is the buffers of one message while it grows.
type scratch struct{ spans, span []byte }

func newEncoder(r *sdkresource.Resource) *encoder {
	var attrs []byte
	for it := r.Iter(); it.Next(); {
		attrs = appendAttribute(attrs, 1, it.Attribute()) // of Resource
	}
	e := &encoder{pool: sync.Pool{New: func() any { return new(scratch) }}}
	e.head = appendBytes(nil, fieldResource, attrs)
	if url := r.SchemaURL(); url != "" {
		e.tail = appendString(nil, fieldResourceSchema, url)
	}
	return e
}

// encode makes one TracesData message of spans, whose last is the root. What is
// too large loses the attributes of its child spans first and the child spans
// next, and says so on the root.
func (e *encoder) encode(ctx context.Context, spans []sdktrace.ReadOnlySpan) ([]byte, error) {
	if otlp := e.quick(spans); otlp != nil {
		return otlp, nil
	}
	var got capture
	if err := otlptrace.NewUnstarted(&got).ExportSpans(ctx, spans); err != nil {
		return nil, fmt.Errorf("encoding a trace: %w", err)
	}
	data := &tracepb.TracesData{ResourceSpans: got.spans}
	if proto.Size(data) > semconv.MaxTraceBytes {
		shrink(data)
	}
	otlp, err := proto.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encoding a trace: %w", err)
	}
	return otlp, nil
}

// quick is the message, or nil where it is too large or holds what it cannot write.
func (e *encoder) quick(spans []sdktrace.ReadOnlySpan) []byte {
	s := e.pool.Get().(*scratch)
	defer e.pool.Put(s)
	s.spans = appendBytes(s.spans[:0], fieldScope, appendString(s.span[:0], 1, scope)) // its name
	for _, span := range spans {
		if !simple(span) {
			return nil
		}
		s.span = appendSpan(s.span[:0], span)
		s.spans = appendBytes(s.spans, fieldSpans, s.span)
		if len(s.spans) > semconv.MaxTraceBytes {
			return nil
		}
	}
	inner := len(e.head) + protowire.SizeTag(fieldScopeSpans) + protowire.SizeBytes(len(s.spans)) + len(e.tail)
	size := protowire.SizeTag(fieldResourceSpans) + protowire.SizeBytes(inner)
	if size > semconv.MaxTraceBytes {
		return nil
	}
	b := make([]byte, 0, size)
	b = protowire.AppendTag(b, fieldResourceSpans, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(inner))
	b = append(b, e.head...)
	b = appendBytes(b, fieldScopeSpans, s.spans)
	return append(b, e.tail...)
}

// simple reports whether a span holds nothing but what appendSpan writes.
func simple(s sdktrace.ReadOnlySpan) bool {
	if len(s.Events()) > 0 || len(s.Links()) > 0 || s.DroppedEvents() > 0 || s.DroppedLinks() > 0 {
		return false
	}
	if !utf8.ValidString(s.Name()) || !utf8.ValidString(s.Status().Description) {
		return false
	}
	for _, a := range s.Attributes() {
		if !utf8.ValidString(string(a.Key)) || !simpleValue(a.Value) {
			return false
		}
	}
	return true
}

func simpleValue(v attribute.Value) bool {
	switch v.Type() {
	case attribute.BOOL, attribute.INT64, attribute.FLOAT64:
		return true
	case attribute.STRING:
		return utf8.ValidString(v.AsString())
	case attribute.STRINGSLICE:
		return !slices.ContainsFunc(v.AsStringSlice(), func(s string) bool { return !utf8.ValidString(s) })
	}
	return false
}

func appendSpan(b []byte, s sdktrace.ReadOnlySpan) []byte {
	sc := s.SpanContext()
	traceID, id := sc.TraceID(), sc.SpanID()
	b = appendBytes(b, fieldTraceID, traceID[:])
	b = appendBytes(b, fieldSpanID, id[:])
	if state := sc.TraceState(); state.Len() > 0 {
		b = appendString(b, fieldTraceState, state.String())
	}
	flags := uint32(sc.TraceFlags()) | uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
	parent := s.Parent()
	if p := parent.SpanID(); p.IsValid() {
		b = appendBytes(b, fieldParent, p[:])
	}
	if parent.IsRemote() {
		flags |= uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
	}
	if s.Name() != "" {
		b = appendString(b, fieldName, s.Name())
	}
	// The SDK's kinds count like OTLP's.
	b = protowire.AppendVarint(protowire.AppendTag(b, fieldKind, protowire.VarintType), uint64(s.SpanKind()))
	b = protowire.AppendFixed64(protowire.AppendTag(b, fieldStart, protowire.Fixed64Type), uint64(max(0, s.StartTime().UnixNano())))
	b = protowire.AppendFixed64(protowire.AppendTag(b, fieldEnd, protowire.Fixed64Type), uint64(max(0, s.EndTime().UnixNano())))
	for _, a := range s.Attributes() {
		b = appendAttribute(b, fieldAttributes, a)
	}
	if n := s.DroppedAttributes(); n > 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, fieldDroppedAttr, protowire.VarintType), uint64(n))
	}
	b = appendStatus(b, s.Status())
	return protowire.AppendFixed32(protowire.AppendTag(b, fieldFlags, protowire.Fixed32Type), flags)
}

func appendStatus(b []byte, s sdktrace.Status) []byte {
	code := tracepb.Status_STATUS_CODE_UNSET // the SDK numbers them otherwise
	switch s.Code {
	case codes.Ok:
		code = tracepb.Status_STATUS_CODE_OK
	case codes.Error:
		code = tracepb.Status_STATUS_CODE_ERROR
	}
	size := 0
	if s.Description != "" {
		size += protowire.SizeTag(fieldMessage) + protowire.SizeBytes(len(s.Description))
	}
	if code != 0 {
		size += protowire.SizeTag(fieldCode) + protowire.SizeVarint(uint64(code))
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, fieldStatus, protowire.BytesType), uint64(size))
	if s.Description != "" {
		b = appendString(b, fieldMessage, s.Description)
	}
	if code != 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, fieldCode, protowire.VarintType), uint64(code))
	}
	return b
}

func appendAttribute(b []byte, field protowire.Number, a attribute.KeyValue) []byte {
	value := sizeValue(a.Value)
	size := protowire.SizeTag(fieldKey) + protowire.SizeBytes(len(a.Key)) + protowire.SizeTag(fieldValue) + protowire.SizeBytes(value)
	b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(size))
	b = appendString(b, fieldKey, string(a.Key))
	b = protowire.AppendVarint(protowire.AppendTag(b, fieldValue, protowire.BytesType), uint64(value))
	return appendValue(b, a.Value)
}

// sizeValue is how long appendValue's part is.
func sizeValue(v attribute.Value) int {
	switch v.Type() {
	case attribute.STRING:
		return protowire.SizeTag(fieldString) + protowire.SizeBytes(len(v.AsString()))
	case attribute.BOOL:
		return protowire.SizeTag(fieldBool) + 1
	case attribute.INT64:
		return protowire.SizeTag(fieldInt) + protowire.SizeVarint(uint64(v.AsInt64()))
	case attribute.FLOAT64:
		return protowire.SizeTag(fieldDouble) + protowire.SizeFixed64()
	case attribute.STRINGSLICE:
		return protowire.SizeTag(fieldArray) + protowire.SizeBytes(sizeStrings(v.AsStringSlice()))
	}
	return 0
}

// sizeStrings is the length of an ArrayValue of texts.
func sizeStrings(list []string) (size int) {
	for _, s := range list {
		size += protowire.SizeTag(fieldValues) + protowire.SizeBytes(protowire.SizeTag(fieldString)+protowire.SizeBytes(len(s)))
	}
	return size
}

// appendValue writes the inside of an AnyValue.
func appendValue(b []byte, v attribute.Value) []byte {
	switch v.Type() {
	case attribute.STRING:
		return appendString(b, fieldString, v.AsString())
	case attribute.BOOL:
		return protowire.AppendVarint(protowire.AppendTag(b, fieldBool, protowire.VarintType), protowire.EncodeBool(v.AsBool()))
	case attribute.INT64:
		return protowire.AppendVarint(protowire.AppendTag(b, fieldInt, protowire.VarintType), uint64(v.AsInt64()))
	case attribute.FLOAT64:
		return protowire.AppendFixed64(protowire.AppendTag(b, fieldDouble, protowire.Fixed64Type), math.Float64bits(v.AsFloat64()))
	case attribute.STRINGSLICE:
		list := v.AsStringSlice()
		b = protowire.AppendVarint(protowire.AppendTag(b, fieldArray, protowire.BytesType), uint64(sizeStrings(list)))
		for _, s := range list {
			b = protowire.AppendTag(b, fieldValues, protowire.BytesType)
			b = protowire.AppendVarint(b, uint64(protowire.SizeTag(fieldString)+protowire.SizeBytes(len(s))))
			b = appendString(b, fieldString, s)
		}
	}
	return b
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func appendString(b []byte, field protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
}

// capture is an otlptrace client that keeps what it is given: the one way to
// the SDK's own translation into OTLP.
type capture struct{ spans []*tracepb.ResourceSpans }

// Start implements otlptrace.Client.
func (c *capture) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *capture) Stop(context.Context) error { return nil }

// UploadTraces implements otlptrace.Client.
func (c *capture) UploadTraces(_ context.Context, rs []*tracepb.ResourceSpans) error {
	c.spans = append(c.spans, rs...)
	return nil
}
