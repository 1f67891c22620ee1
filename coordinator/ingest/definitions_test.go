package ingest_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gengfu/gengfu/coordinator/ingest"
	"github.com/gengfu/gengfu/probes"
)

// known is Definitions with the probes of one service, once it is ready.
type known struct {
	mu      sync.Mutex
	ready   bool
	service string
	fail    error
}

func (k *known) Ready() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ready
}

func (k *known) Strange(_ context.Context, run probes.Run) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return run.Key.Service != k.service, k.fail
}

func (k *known) set(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

func odd(n int) probes.Run {
	r := run(n)
	r.Key = probes.Key{Service: "never", Probe: "page"}
	r.Slot = probes.SlotAt(r.Key, r.Every, r.Started)
	r.Late = r.Started.Sub(r.Slot)
	r.Revision = "0123456789abcdef0123456789abcdef01234567"
	return r
}

func TestWithoutDefinitionsAgentsKeepTheirRuns(t *testing.T) {
	k := &known{service: "shebao"}
	h := serve(t, 0, k)
	_, err := h.client.Export(authorized(t), request(run(1)))
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.ErrorContains(t, err, "no definitions here yet")
	require.Len(t, status.Convert(err).Details(), 1, "when to come again")
	code, header, _ := h.call(t, http.MethodPost, "/v1/traces", marshal(t, request(run(1))), protobuf)
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.NotEmpty(t, header.Get("Retry-After"))
	require.Empty(t, h.store.runs)
	require.Equal(t, ingest.Stats{Unready: 2}, h.Stats())

	k.set(func() { k.ready = true })
	resp, err := h.client.Export(authorized(t), request(run(1)))
	require.NoError(t, err)
	require.Nil(t, resp.PartialSuccess)
	require.Len(t, h.store.runs, 1)
}

func TestStrangeRunsAreRefusedAlone(t *testing.T) {
	k := &known{service: "shebao", ready: true}
	h := serve(t, 0, k)
	stray := odd(1)
	resp, err := h.client.Export(authorized(t), request(stray, run(2)))
	require.NoError(t, err)
	require.EqualValues(t, 1, resp.PartialSuccess.RejectedSpans)
	require.Contains(t, resp.PartialSuccess.ErrorMessage, stray.TraceID+": no definitions hold the probe never/page, not those of commit 0123456789ab that")
	require.Len(t, h.store.runs, 1)
	require.Equal(t, ingest.Stats{Runs: 1, Rejected: 1, Strange: 1}, h.Stats())

	resp, err = h.client.Export(authorized(t), request(stray))
	require.NoError(t, err)
	require.EqualValues(t, 1, resp.PartialSuccess.RejectedSpans, "none is left to store")
	require.Equal(t, 1, h.stored)

	k.set(func() { k.fail = errors.New("disk I/O error") })
	_, err = h.client.Export(authorized(t), request(stray, run(3)))
	require.Equal(t, codes.Unavailable, status.Code(err), "what cannot be told is kept")
	require.EqualValues(t, 2, h.Stats().Rejected)
}

func TestTheLastFailureOfWritingIsKnown(t *testing.T) {
	h := serve(t, 0)
	require.Zero(t, h.LastFailure())
	h.store.set(func() { h.store.fail = errors.New("database or disk is full") })
	_, err := h.client.Export(authorized(t), request(run(1)))
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.ErrorContains(t, h.LastFailure().Err, "disk is full")
	require.False(t, h.LastFailure().At.IsZero())
	h.store.set(func() { h.store.fail = nil })
	_, err = h.client.Export(authorized(t), request(run(1)))
	require.NoError(t, err)
	require.Zero(t, h.LastFailure())
}
