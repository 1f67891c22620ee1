// Package dashboards serves the pages that operators keep open: server-rendered
// HTML, one stylesheet, one small script for live refresh, and charts drawn on
// the server as SVG. It reads through Source and acts through Actions, and shows
// every text from outside as text: nothing here trusts a page, a peer or a person.
package dashboards

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/record"
	"github.com/gengfu/gengfu/coordinator/view"
)

// Source answers what the pages show. A missing item is view.ErrNotFound.
type Source interface {
	Overview(ctx context.Context) (view.Overview, error)
	Service(ctx context.Context, id string) (view.Service, error)
	Run(ctx context.Context, traceID string) (view.Run, error)
	Incidents(ctx context.Context, openOnly bool, service string) ([]incident.Incident, error)
	Incident(ctx context.Context, id string) (view.Incident, error)
	Agents(ctx context.Context) ([]view.Agent, error)
	Records(ctx context.Context) ([]view.Record, error)
	Record(ctx context.Context, kind, day string) (record.Sheet, error)
	Catalog(ctx context.Context) (view.CatalogState, error)
	Alerts(ctx context.Context) ([]alert.Delivery, error)
}

// Actions is what a person may do on the pages. by is the name they gave.
type Actions interface {
	Ack(ctx context.Context, id, by string) error
	Note(ctx context.Context, id, by, text string) error
	Fill(ctx context.Context, kind, day, row, field, value, by string) error
	// PollGit asks for a look at the definitions' repository soon; it does not wait.
	PollGit()
}

// Options configure the pages.
type Options struct {
	Source  Source
	Actions Actions
	Title   string           // the organisation's name, shown beside 更夫; may be empty
	Logger  *slog.Logger     // nil discards
	Now     func() time.Time // nil is time.Now
}

//go:embed *.html static
var files embed.FS

// site is the handler behind New.
type site struct {
	src    Source
	act    Actions
	org    string
	log    *slog.Logger
	now    func() time.Time
	pages  map[string]*template.Template // by file name
	assets *assets
}

// pageFiles are the templates, one a page; each defines "main".
var pageFiles = []string{
	"overview.html", "service.html", "run.html", "incidents.html", "incident.html", "agents.html",
	"records.html", "sheet.html", "definitions.html", "alerts.html", "message.html",
}

// New makes the handler of all pages and of /static/. It sets the security
// headers itself, and refuses cross-origin POSTs itself.
func New(o Options) (http.Handler, error) {
	if o.Source == nil || o.Actions == nil {
		return nil, errors.New("dashboards: Source and Actions must be set")
	}
	s := &site{src: o.Source, act: o.Actions, org: o.Title, log: o.Logger, now: o.Now, pages: map[string]*template.Template{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, name := range pageFiles {
		t, err := template.New(name).Option("missingkey=error").ParseFS(files, "layout.html", "parts.html", name)
		if err != nil {
			return nil, fmt.Errorf("parsing page %s: %w", name, err)
		}
		s.pages[name] = t
	}
	var err error
	if s.assets, err = loadAssets(files, "static"); err != nil {
		return nil, fmt.Errorf("reading the pages' static files: %w", err)
	}
	mux := http.NewServeMux()
	for pattern, serve := range map[string]http.HandlerFunc{
		"GET /{$}":                         s.overview,
		"GET /services/{id}":               s.service,
		"GET /runs/{trace}":                s.run,
		"GET /incidents":                   s.incidents,
		"GET /incidents/{id}":              s.incident,
		"POST /incidents/{id}/ack":         s.ack,
		"POST /incidents/{id}/notes":       s.note,
		"GET /agents":                      s.agents,
		"GET /records":                     s.records,
		"GET /records/{kind}/{day}":        s.sheet,
		"POST /records/{kind}/{day}/cells": s.fill,
		"GET /definitions":                 s.definitions,
		"POST /definitions/poll":           s.poll,
		"GET /alerts":                      s.alerts,
		"GET /static/{name}":               s.assets.serve,
		"/":                                s.nowhere,
	} {
		mux.HandleFunc(pattern, serve)
	}
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(s.foreign))
	return secure(guard.Handler(mux)), nil
}

// policy allows this origin's own stylesheet, script, pictures and requests, and
// nothing inline, so that even a hole in escaping runs no script.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		// Not "no-referrer": it would send "Origin: null" with our own forms, and
		// on plain HTTP that header is all the cross-origin check has to go by.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		next.ServeHTTP(w, r)
	})
}
