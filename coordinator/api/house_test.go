package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gengfu/gengfu/coordinator/api"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/ingest"
	"github.com/gengfu/gengfu/coordinator/record"
	"github.com/gengfu/gengfu/coordinator/store"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/coordinator/view/viewtest"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	agentToken = "the fleet's token"
	gitToken   = "the webhook's token"
)

// house is a bureau with the whole API over it, on a real socket. Every answer
// that passes through ask is held against the OpenAPI document.
type house struct {
	*viewtest.Bureau
	t     *testing.T
	url   string
	hub   *api.Hub
	polls int
	logs  bytes.Buffer
	fail  error // what reading the overview fails with
	doc   *document
}

func newHouse(t *testing.T, services ...probes.Service) *house {
	t.Helper()
	h := &house{Bureau: viewtest.New(t, services...), t: t, hub: api.NewHub(), doc: loadDocument(t)}
	in, err := ingest.New(ingest.Options{Store: h.Store, Token: agentToken, Now: time.Now, Logger: slog.New(slog.DiscardHandler), OnStored: func() {}})
	require.NoError(t, err)
	o := api.Options{
		Reader: reader{h.Builder(), h}, Records: papers{}, Writer: pen{h}, Events: h.hub, PollGit: func() { h.polls++ }, GitToken: gitToken,
		Evidence: in.Evidence(), AgentToken: agentToken, Now: func() time.Time { return h.Now },
		Logger: slog.New(slog.NewTextHandler(&h.logs, nil)),
	}
	h.url = serve(t, o)
	return h
}

// serve wires the API as the coordinator does: pages take what it leaves over.
func serve(t *testing.T, o api.Options) string {
	people, mux := http.NewServeMux(), http.NewServeMux()
	api.Register(people, o)
	people.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>a page</html>") })
	api.RegisterMachines(mux, o)
	mux.Handle("/", people)
	srv := httptest.NewServer(mux)
	t.Cleanup(func() {
		o.Events.Close()
		srv.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return srv.URL
}

type reader struct {
	*view.Builder
	h *house
}

func (r reader) Catalog() *definition.Catalog { return r.h.Bureau.Catalog }

func (r reader) Overview(ctx context.Context) (view.Overview, error) {
	if r.h.fail != nil {
		return view.Overview{}, r.h.fail
	}
	return r.Builder.Overview(ctx)
}

type pen struct{ h *house }

func found(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %w", view.ErrNotFound, err)
	}
	return err
}

func (p pen) Ack(ctx context.Context, id, by string) error {
	return found(p.h.Store.Ack(ctx, id, by, p.h.Now))
}

func (p pen) Note(ctx context.Context, id, by, text string) error {
	return found(p.h.Store.AddNote(ctx, id, incident.Note{At: p.h.Now, By: by, Kind: "note", Text: text}))
}

func (p pen) Evidence(ctx context.Context, sum string) (probes.Evidence, error) {
	e, err := p.h.Store.Evidence(ctx, sum)
	return e, found(err)
}

func (p pen) CatalogBody(ctx context.Context, digest string) ([]byte, error) {
	b, err := p.h.Store.CatalogBody(ctx, digest)
	return b, found(err)
}

// papers has one document of one day.
type papers struct{}

const paperDay = "2026-11-24"

func (papers) List(context.Context) ([]view.Record, error) {
	return []view.Record{{Kind: "daily", Day: paperDay, Title: record.Daily.Title, Rows: 3, ToFill: 2, Updated: viewtest.Noon}}, nil
}

func (papers) Sheet(_ context.Context, kind, period string) (record.Sheet, error) {
	if kind != "daily" || period != paperDay {
		return record.Sheet{}, view.ErrNotFound
	}
	p, err := record.Daily.Period(period)
	if err != nil {
		return record.Sheet{}, err
	}
	return record.Daily.Compose(p, record.Facts{Now: viewtest.Noon, Rounds: []time.Duration{9 * time.Hour}})
}

func (p papers) Render(ctx context.Context, kind, period, ext string, w io.Writer) (string, error) {
	if _, err := p.Sheet(ctx, kind, period); err != nil {
		return "", err
	}
	if ext != "xlsx" {
		return "", fmt.Errorf("%w: format %s", view.ErrNotFound, ext)
	}
	_, err := io.WriteString(w, "PK a workbook")
	return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", err
}

// answer is an answer, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func with(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func asJSON(r *http.Request) { r.Header.Set("Content-Type", "application/json") }

// ask sends a request and holds the answer against the document.
func (h *house) ask(method, path, body string, change ...func(*http.Request)) answer {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	require.NoError(h.t, err)
	for _, f := range change {
		f(req)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(h.t, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	require.NoError(h.t, err)
	a := answer{res.StatusCode, res.Header, string(got)}
	h.doc.check(h.t, req, a)
	return a
}

// get asks for JSON and decodes it.
func get[T any](h *house, path string) T {
	h.t.Helper()
	var v T
	a := h.ask(http.MethodGet, path, "")
	require.Equal(h.t, http.StatusOK, a.status, "%s: %s", path, a.body)
	require.NoError(h.t, json.Unmarshal([]byte(a.body), &v))
	return v
}

type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

// refuses asks and wants a problem of that status whose detail holds text.
func (h *house) refuses(a answer, status int, text string) {
	h.t.Helper()
	require.Equal(h.t, status, a.status, a.body)
	require.Equal(h.t, "application/problem+json; charset=utf-8", a.header.Get("Content-Type"))
	var p api.Problem
	require.NoError(h.t, json.Unmarshal([]byte(a.body), &p), a.body)
	require.Equal(h.t, status, p.Status)
	require.Equal(h.t, "about:blank", p.Type)
	require.NotEmpty(h.t, p.Title)
	require.Contains(h.t, p.Detail, text)
}
