// Package api is the JSON API under /api/v1, the live events, and the doors for
// agents (catalog bodies and evidence) and for the Git webhook.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/record"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// Reader answers what the API shows.
type Reader interface {
	Overview(ctx context.Context) (view.Overview, error)
	Services(ctx context.Context) ([]view.ServiceRow, error)
	Service(ctx context.Context, id string) (view.Service, error)
	Runs(ctx context.Context, key probes.Key, from, to time.Time, limit int) ([]view.RunRow, error)
	Run(ctx context.Context, traceID string) (view.Run, error)
	Availability(ctx context.Context, service string, from, to time.Time) (view.Figure, error)
	Incidents(ctx context.Context, f view.IncidentFilter) ([]incident.Incident, error)
	Incident(ctx context.Context, id string) (view.Incident, error)
	Alerts(ctx context.Context) ([]alert.Delivery, error)
	Agents(ctx context.Context) ([]view.Agent, error)
	CatalogState(ctx context.Context) (view.CatalogState, error)
	Catalog() *definition.Catalog
}

// Records composes and renders documents.
type Records interface {
	List(ctx context.Context) ([]view.Record, error)
	Sheet(ctx context.Context, kind, period string) (record.Sheet, error)
	Render(ctx context.Context, kind, period, ext string, w io.Writer) (contentType string, err error)
}

// Writer is what people and agents may change.
type Writer interface {
	Ack(ctx context.Context, id, by string) error
	Note(ctx context.Context, id, by, text string) error
	Evidence(ctx context.Context, sha256 string) (probes.Evidence, error)
	CatalogBody(ctx context.Context, digest string) ([]byte, error)
}

// Options wire an API.
type Options struct {
	Reader   Reader
	Records  Records
	Writer   Writer
	Events   *Hub
	PollGit  func() // look at the repository at once
	GitToken string // when set, the Git webhook must present it
	// Evidence takes pictures from agents: PUT /api/v1/evidence/{sha256}.
	Evidence http.Handler
	// AgentToken is the bearer token of the fleet's members.
	AgentToken string
	Now        func() time.Time
	Logger     *slog.Logger
}

type server struct{ Options }

// Register adds the people's part of the API to mux.
func Register(mux *http.ServeMux, o Options) {
	s := &server{o}
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /api/v1/overview":                      s.overview,
		"GET /api/v1/services":                      s.services,
		"GET /api/v1/services/{id}":                 s.service,
		"GET /api/v1/probes/{service}/{probe}/runs": s.runs,
		"GET /api/v1/runs/{trace_id}":               s.run,
		"GET /api/v1/availability":                  s.availability,
		"GET /api/v1/incidents":                     s.incidents,
		"GET /api/v1/incidents/{id}":                s.incident,
		"POST /api/v1/incidents/{id}/ack":           s.ack,
		"POST /api/v1/incidents/{id}/notes":         s.note,
		"GET /api/v1/alerts":                        s.alerts,
		"GET /api/v1/silences":                      s.silences,
		"GET /api/v1/agents":                        s.agents,
		"GET /api/v1/catalog":                       s.catalog,
		"GET /api/v1/records":                       s.records,
		"GET /api/v1/records/{file}":                s.record,
		"GET /api/v1/evidence/{sha256}":             s.evidence,
		"GET /api/v1/events":                        s.events,
		"GET /api/openapi.json":                     s.openapi,
	} {
		mux.Handle(pattern, s.handle(h))
	}
}

// RegisterMachines adds the doors that machines use with tokens of their own:
// agents with the fleet's token, the Git server with its webhook's.
func RegisterMachines(mux *http.ServeMux, o Options) {
	s := &server{o}
	mux.Handle("GET /api/v1/catalog/{digest}", s.handle(s.member(s.catalogBody)))
	mux.Handle("PUT /api/v1/evidence/{sha256}", o.Evidence)
	mux.Handle("POST /api/v1/catalog/poll", s.handle(s.poll))
}

// Problem is an RFC 9457 answer.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// badRequest is an error whose text may be shown: it speaks of the request.
type badRequest struct{ text string }

func (e badRequest) Error() string { return e.text }

func (s *server) handle(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		var bad badRequest
		switch {
		case err == nil:
		case errors.As(err, &bad):
			writeProblem(w, http.StatusBadRequest, "请求有误", bad.text)
		case errors.Is(err, errUnauthorized):
			w.Header().Set("WWW-Authenticate", `Bearer realm="gengfu"`)
			writeProblem(w, http.StatusUnauthorized, "需要令牌", err.Error())
		case errors.Is(err, view.ErrNotFound):
			writeProblem(w, http.StatusNotFound, "没有找到", "")
		case r.Context().Err() != nil: // the client went away: nobody reads an answer
		default:
			s.Logger.Error("answering failed", "method", r.Method, "path", r.URL.Path, "err", err)
			writeProblem(w, http.StatusInternalServerError, "服务器内部错误", "详情见协调器日志")
		}
	})
}

func writeProblem(w http.ResponseWriter, status int, title, detail string) {
	w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
	w.WriteHeader(status)
	// The client may be gone; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(Problem{Type: "about:blank", Title: title, Status: status, Detail: detail})
}

func writeJSON(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, err = w.Write(append(body, '\n'))
	if err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}

// list is a page of a longer list.
type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"` // the cursor of the following page
}

func page[T any](items []T, next string) list[T] {
	if items == nil {
		items = []T{}
	}
	return list[T]{Items: items, Next: next}
}

func (s *server) overview(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Reader.Overview(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, v)
}

func (s *server) services(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Reader.Services(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, page(v, ""))
}

func (s *server) service(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Reader.Service(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, v)
}

// limit reads ?limit=, from 1 to most.
func limit(r *http.Request, usual, most int) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, badRequest{fmt.Sprintf("limit: want a number from 1 to %d, got %q", most, text)}
	}
	return n, nil
}

// instant reads an RFC 3339 time or a day of Asia/Shanghai from the query.
func instant(r *http.Request, name string, usual time.Time) (time.Time, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return usual, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	from, _, err := calendar.ParseDay(text)
	if err != nil {
		return time.Time{}, badRequest{fmt.Sprintf("%s: want RFC 3339 such as 2026-11-25T08:00:00+08:00 or a day such as 2026-11-25, got %q", name, text)}
	}
	return from, nil
}

func (s *server) runs(w http.ResponseWriter, r *http.Request) error {
	n, err := limit(r, 100, 1000)
	if err != nil {
		return err
	}
	now := s.Now()
	from, err := instant(r, "from", now.AddDate(0, 0, -7))
	if err != nil {
		return err
	}
	to, err := instant(r, "to", now.Add(time.Minute))
	if err != nil {
		return err
	}
	// The cursor is the start of the last run shown, to the nanosecond.
	if before, err := instant(r, "cursor", to); err != nil {
		return err
	} else if before.Before(to) {
		to = before
	}
	key := probes.Key{Service: r.PathValue("service"), Probe: r.PathValue("probe")}
	rows, err := s.Reader.Runs(r.Context(), key, from, to, n)
	if err != nil {
		return err
	}
	next := ""
	if len(rows) == n {
		next = rows[n-1].Slot.UTC().Format(time.RFC3339Nano)
	}
	return writeJSON(w, page(rows, next))
}

func (s *server) run(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Reader.Run(r.Context(), r.PathValue("trace_id"))
	if err != nil {
		return err
	}
	return writeJSON(w, v)
}

// availabilityRow is one service's figure.
type availabilityRow struct {
	Service string         `json:"service"`
	Name    string         `json:"name"`
	Channel probes.Channel `json:"channel"`
	From    time.Time      `json:"from"`
	To      time.Time      `json:"to"`
	Figure  view.Figure    `json:"figure"`
}

func (s *server) availability(w http.ResponseWriter, r *http.Request) error {
	now := s.Now()
	today, _ := calendar.Day(now)
	from, err := instant(r, "from", today)
	if err != nil {
		return err
	}
	to, err := instant(r, "to", now)
	if err != nil {
		return err
	}
	if !from.Before(to) || to.Sub(from) > 92*24*time.Hour {
		return badRequest{fmt.Sprintf("from, to: want a stretch of at most 92 days, got %s to %s", from.Format(time.RFC3339), to.Format(time.RFC3339))}
	}
	only := r.URL.Query().Get("service")
	rows := []availabilityRow{}
	if c := s.Reader.Catalog(); c != nil {
		for _, sv := range c.Services {
			if only != "" && sv.ID != only || sv.Life == probes.LifeRetired {
				continue
			}
			f, err := s.Reader.Availability(r.Context(), sv.ID, from, to)
			if err != nil {
				return err
			}
			rows = append(rows, availabilityRow{sv.ID, sv.Name, sv.Channel, from, to, f})
		}
	}
	if only != "" && len(rows) == 0 {
		return view.ErrNotFound
	}
	return writeJSON(w, page(rows, ""))
}

func (s *server) incidents(w http.ResponseWriter, r *http.Request) error {
	n, err := limit(r, 100, 500)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	f := view.IncidentFilter{Service: q.Get("service"), OpenOnly: q.Get("open") == "true", Limit: n, Before: q.Get("cursor")}
	if f.From, err = instant(r, "from", time.Time{}); err != nil {
		return err
	}
	if f.To, err = instant(r, "to", time.Time{}); err != nil {
		return err
	}
	items, err := s.Reader.Incidents(r.Context(), f)
	if err != nil {
		return err
	}
	next := ""
	if len(items) == n {
		next = items[n-1].ID
	}
	return writeJSON(w, page(items, next))
}

func (s *server) incident(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Reader.Incident(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, v)
}

// said is the body of what a person does to an incident.
type said struct {
	By   string `json:"by"`
	Text string `json:"text"`
}

func readSaid(r *http.Request) (said, error) {
	var v said
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return v, badRequest{fmt.Sprintf("Content-Type: want application/json, got %q", r.Header.Get("Content-Type"))}
	}
	dec := json.NewDecoder(io.LimitReader(r.Body, 64<<10))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, badRequest{"body: want {\"by\": …, \"text\": …}: " + err.Error()}
	}
	if strings.TrimSpace(v.By) == "" {
		return v, badRequest{"by: want the name of the person who acts"}
	}
	return v, nil
}

func (s *server) ack(w http.ResponseWriter, r *http.Request) error {
	v, err := readSaid(r)
	if err != nil {
		return err
	}
	if err := s.Writer.Ack(r.Context(), r.PathValue("id"), v.By); err != nil {
		return err
	}
	return s.incident(w, r)
}

func (s *server) note(w http.ResponseWriter, r *http.Request) error {
	v, err := readSaid(r)
	if err != nil {
		return err
	}
	if strings.TrimSpace(v.Text) == "" {
		return badRequest{"text: want what is to be noted"}
	}
	if err := s.Writer.Note(r.Context(), r.PathValue("id"), v.By, v.Text); err != nil {
		return err
	}
	return s.incident(w, r)
}

func (s *server) alerts(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Reader.Alerts(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, page(v, ""))
}

// silence is one silence of the definitions.
type silence struct {
	Services []string  `json:"services"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Reason   string    `json:"reason"`
	Source   string    `json:"source"`
}

func (s *server) silences(w http.ResponseWriter, _ *http.Request) error {
	var rows []silence
	if c := s.Reader.Catalog(); c != nil {
		for _, v := range c.Silences {
			rows = append(rows, silence(v))
		}
	}
	return writeJSON(w, page(rows, ""))
}

func (s *server) agents(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Reader.Agents(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, page(v, ""))
}

func (s *server) catalog(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Reader.CatalogState(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, v)
}
