package ingest

import (
	"context"
	"errors"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // agents and Collectors compress
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/types/known/durationpb"
)

// ServerOptions are for the gRPC server that Register is given: bounds, and a
// check of the token before a message is read.
func (i *Ingest) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(MaxMessage),
		grpc.MaxConcurrentStreams(uint32(i.o.MaxConcurrent)),
		grpc.MaxHeaderListSize(16 << 10),
		grpc.InTapHandle(i.tap),
	}
}

// Register makes s receive traces by OTLP/gRPC.
func (i *Ingest) Register(s *grpc.Server) {
	collectorpb.RegisterTraceServiceServer(s, &traceService{ingest: i})
}

func (i *Ingest) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	if info.FullMethodName == collectorpb.TraceService_Export_FullMethodName && !i.authorizedMD(info.Header) {
		return nil, status.Error(codes.Unauthenticated, unauthorizedText)
	}
	return ctx, nil
}

func (i *Ingest) authorizedMD(md metadata.MD) bool {
	var header string
	if v := md.Get("authorization"); len(v) == 1 {
		header = v[0]
	}
	return i.authorized(header)
}

type traceService struct {
	collectorpb.UnimplementedTraceServiceServer
	ingest *Ingest
}

// Export implements collectorpb.TraceServiceServer.
func (s *traceService) Export(ctx context.Context, req *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	i := s.ingest
	// Checked again, for a server without ServerOptions.
	if md, _ := metadata.FromIncomingContext(ctx); !i.authorizedMD(md) {
		return nil, status.Error(codes.Unauthenticated, unauthorizedText)
	}
	leave, ok := i.enter()
	if !ok {
		return nil, again(codes.ResourceExhausted, busyText)
	}
	defer leave()
	resp, err := i.store(ctx, req.GetResourceSpans())
	var why *refusal
	if errors.As(err, &why) {
		return nil, again(why.code, why.text)
	}
	if err != nil {
		// The reason is in our log: a sender learns what to do, not how we fare.
		return nil, again(codes.Unavailable, troubleText)
	}
	return resp, nil
}

// again is an error that says when to come back.
func again(code codes.Code, text string) error {
	st := status.New(code, text)
	if with, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)}); err == nil {
		st = with
	}
	return st.Err()
}
