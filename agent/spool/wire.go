package spool

import (
	"fmt"
	"sync"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// messages are encoded TracesData. Since TracesData and ExportTraceServiceRequest
// have the same one field, several of them one after the other are a request, and
// nobody has to decode and encode again what was encoded when the run ended.
type messages [][]byte

// wire is gRPC's codec of a call that sends messages.
type wire struct{}

// Name is the content subtype: what is sent is protobuf all the same.
func (wire) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (wire) Marshal(v any) (mem.BufferSlice, error) {
	list, ok := v.(messages)
	if !ok {
		return nil, fmt.Errorf("sending spooled traces: want encoded messages, got %T", v)
	}
	out := make(mem.BufferSlice, 0, len(list))
	for _, m := range list {
		out = append(out, mem.SliceBuffer(m))
	}
	return out, nil
}

// Unmarshal implements encoding.CodecV2.
func (wire) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("reading a coordinator's answer: want a protobuf message, got %T", v)
	}
	return proto.Unmarshal(data.Materialize(), m)
}

// check reads the messages as a coordinator would.
func (m messages) check() error {
	for _, b := range m {
		if err := proto.Unmarshal(b, &collectorpb.ExportTraceServiceRequest{}); err != nil {
			return fmt.Errorf("reading spooled traces: %w", err)
		}
	}
	return nil
}

// level is how hard traces are compressed: those of one agent repeat each other so
// much that gzip's usual level 6 saves 5 % of the bytes for twice the time.
const level = 3

// callOptions are those of every delivery.
func callOptions() []grpc.CallOption {
	swift()
	return []grpc.CallOption{grpc.UseCompressor(grpcgzip.Name), grpc.ForceCodecV2(wire{})}
}

// swift sets gRPC's one level for this process, before its first use here.
var swift = sync.OnceFunc(func() {
	if err := grpcgzip.SetLevel(level); err != nil {
		panic(err) // it is one that the package knows
	}
})
