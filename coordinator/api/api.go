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
	"net/http"
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
	Runs(ctx context.Context, key probes.Key, from, to time.Time, after view.Place, limit int) ([]view.RunRow, error)
	Run(ctx context.Context, traceID string) (view.Run, error)
	Availability(ctx context.Context, service string, from, to time.Time) (view.Figure, error)
	Incidents(ctx context.Context, f view.IncidentFilter) ([]incident.Incident, error)
	Incident(ctx context.Context, id string) (view.Incident, error)
	AlertsBefore(ctx context.Context, before int64, limit int) ([]alert.Delivery, error)
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

// Problem is an RFC 9457 answer.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// WriteProblem answers an error as RFC 9457 wants it.
func WriteProblem(w http.ResponseWriter, status int, title, detail string) {
	w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The client may be gone; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(Problem{Type: "about:blank", Title: title, Status: status, Detail: detail})
}

// errGone says that an answer could not be written: its reader went away, or is
// too slow. There is nobody to tell.
var errGone = errors.New("the client is gone")

func send(w http.ResponseWriter, body []byte) error {
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("writing the answer: %w: %w", errGone, err)
	}
	return nil
}

func writeJSON(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	return send(w, append(body, '\n'))
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
	return writeJSON(w, whole(v))
}

func (s *server) service(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Reader.Service(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, v)
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
		return badRequest("from, to: want a stretch of at most 92 days, got %s to %s", from.Format(time.RFC3339), to.Format(time.RFC3339))
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
	return writeJSON(w, whole(rows))
}

func (s *server) incident(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Reader.Incident(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, v)
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
	return writeJSON(w, whole(rows))
}

func (s *server) agents(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Reader.Agents(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, whole(v))
}

func (s *server) catalog(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Reader.CatalogState(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, v)
}
