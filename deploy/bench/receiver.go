package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"

	"google.golang.org/grpc"

	"github.com/gengfu/gengfu/coordinator/ingest"
	"github.com/gengfu/gengfu/coordinator/store"
	"github.com/gengfu/gengfu/probes"
)

// token is what agents show the ingest.
const token = "bench"

// receiver is the receiving half of a coordinator: the real ingest, and the real
// store where a folder is given.
type receiver struct {
	ingest *ingest.Ingest
	server *grpc.Server
	store  *store.Store // nil: what comes is acknowledged and forgotten
	wg     sync.WaitGroup
}

// forgetful is a store for runs beyond number.
type forgetful struct{}

// Ingest implements ingest.Store.
func (forgetful) Ingest(_ context.Context, traces []probes.Trace) (int, error) {
	return len(traces), nil
}

// PutEvidence implements ingest.Store.
func (forgetful) PutEvidence(context.Context, probes.Evidence) error { return nil }

func newReceiver(ctx context.Context, o order) (part, reply, error) {
	r := &receiver{}
	log := quiet()
	var keep ingest.Store = forgetful{}
	if o.Dir != "" {
		var err error
		if r.store, err = store.Open(ctx, store.Options{Dir: o.Dir, Logger: log}); err != nil {
			return nil, reply{}, fmt.Errorf("opening the store: %w", err)
		}
		keep = r.store
	}
	var err error
	if r.ingest, err = ingest.New(ingest.Options{Store: keep, Token: token, Logger: log}); err != nil {
		return nil, reply{}, errors.Join(fmt.Errorf("making the ingest: %w", err), r.close())
	}
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, reply{}, errors.Join(fmt.Errorf("opening the ingest: %w", err), r.close())
	}
	r.server = grpc.NewServer(r.ingest.ServerOptions()...)
	r.ingest.Register(r.server)
	r.wg.Go(func() { _ = r.server.Serve(lis) })
	return r, reply{Addr: map[string]string{"otlp": lis.Addr().String()}}, nil
}

// answer tells how many runs were stored in all.
func (r *receiver) answer(context.Context, order) (reply, error) {
	s := r.ingest.Stats()
	if s.Rejected > 0 {
		return reply{}, fmt.Errorf("%d traces were rejected", s.Rejected)
	}
	return reply{Count: int(s.Runs)}, nil
}

func (r *receiver) close() error {
	if r.server != nil {
		r.server.Stop()
	}
	r.wg.Wait()
	if r.store == nil {
		return nil
	}
	return r.store.Close()
}

// quiet logs what is wrong and nothing else.
func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}
