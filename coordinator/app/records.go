package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/record"
	"github.com/gengfu/gengfu/coordinator/record/render"
	"github.com/gengfu/gengfu/coordinator/store"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/kinds"
)

// records composes documents from the store and the definitions in use.
type records struct {
	store   *store.Store
	catalog func() *definition.Catalog
	cfg     Config
	base    string // of links in files
	now     func() time.Time
}

// Sheet composes one document.
func (r *records) Sheet(ctx context.Context, kind, period string) (record.Sheet, error) {
	doc, err := record.Find(kind)
	if err != nil {
		return record.Sheet{}, fmt.Errorf("%w: %w", view.ErrNotFound, err)
	}
	p, err := doc.Period(period)
	if err != nil {
		return record.Sheet{}, fmt.Errorf("%w: %w", view.ErrNotFound, err)
	}
	s := record.Setting{Now: r.now(), Client: r.cfg.Client, Compiler: r.cfg.Compiler}
	if c := r.catalog(); c != nil {
		s.Commit, s.Services, s.Rounds = c.Revision.Commit, c.Services, c.Calendar.Rounds
		for _, m := range c.Calendar.Maintenance {
			s.Windows = append(s.Windows, record.Window{Services: m.Services, From: m.From, To: m.To, Reason: m.Reason})
		}
	}
	if len(s.Rounds) == 0 {
		s.Rounds = []time.Duration{9 * time.Hour, 14 * time.Hour, 17 * time.Hour}
	}
	facts, err := record.Load(ctx, recordSource{r.store}, kind, p, s)
	if err != nil {
		return record.Sheet{}, fmt.Errorf("composing %s of %s: %w", kind, period, err)
	}
	sheet, err := doc.Compose(p, facts)
	if err != nil {
		return record.Sheet{}, fmt.Errorf("composing %s of %s: %w", kind, period, err)
	}
	return sheet, nil
}

// Render composes a document and writes it in a format.
func (r *records) Render(ctx context.Context, kind, period, ext string, w io.Writer) (string, error) {
	sheet, err := r.Sheet(ctx, kind, period)
	if err != nil {
		return "", err
	}
	switch ext {
	case "xlsx":
		if err := render.XLSX(w, sheet, r.base); err != nil {
			return "", fmt.Errorf("writing %s of %s as a workbook: %w", kind, period, err)
		}
		return render.XLSXType, nil
	case "json":
		if err := json.NewEncoder(w).Encode(sheet); err != nil {
			return "", fmt.Errorf("writing %s of %s as JSON: %w", kind, period, err)
		}
		return "application/json; charset=utf-8", nil
	}
	return "", fmt.Errorf("%w: want the format xlsx or json, got %q", view.ErrNotFound, ext)
}

// listed is how many days back the list of records reaches.
const listed = 31

// List lists the days for which a record can be composed, the newest first.
func (r *records) List(ctx context.Context) ([]view.Record, error) {
	now := r.now()
	today, _ := calendar.Day(now)
	due, err := r.store.Due(ctx, today.AddDate(0, 0, 1-listed), now)
	if err != nil {
		return nil, fmt.Errorf("reading what was due: %w", err)
	}
	var out []view.Record
	for k := range listed {
		from := today.AddDate(0, 0, -k)
		any := false
		for _, d := range due {
			any = any || d.Span.From.Before(from.AddDate(0, 0, 1)) && (d.Span.To.IsZero() || d.Span.To.After(from))
		}
		if !any {
			continue
		}
		day := from.Format("2006-01-02")
		row := view.Record{Kind: record.Daily.Kind, Day: day, Title: record.Daily.Title}
		sheet, err := r.Sheet(ctx, row.Kind, day)
		if err != nil {
			return nil, err
		}
		for _, t := range sheet.Tables {
			row.Rows += len(t.Rows)
			for _, cells := range t.Rows {
				for _, c := range cells {
					if c.Text == record.ToFill {
						row.ToFill++
					}
				}
			}
		}
		fills, err := r.store.Filled(ctx, row.Kind, day)
		if err != nil {
			return nil, fmt.Errorf("reading what was filled in on %s: %w", day, err)
		}
		for _, f := range fills {
			if f.At.After(row.Updated) {
				row.Updated = f.At
			}
		}
		out = append(out, row)
	}
	return out, nil
}

// recordSource is the store as documents want it.
type recordSource struct{ store *store.Store }

func (s recordSource) Due(ctx context.Context, from, to time.Time) ([]availability.Due, error) {
	return s.store.Due(ctx, from, to)
}

func (s recordSource) Slots(ctx context.Context, key probes.Key, from, to time.Time) ([]availability.Slot, error) {
	return s.store.Slots(ctx, key, from, to)
}

func (s recordSource) Verdicts(ctx context.Context, key probes.Key, from, to time.Time) ([]availability.Slot, error) {
	return s.store.Verdicts(ctx, key, from, to)
}

func (s recordSource) Run(ctx context.Context, id string) (probes.Run, bool, error) {
	if id == "" {
		return probes.Run{}, false, nil
	}
	t, err := s.store.Run(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return probes.Run{}, false, nil
	}
	return t.Run, err == nil, err
}

func (s recordSource) Incidents(ctx context.Context, from, to time.Time) ([]incident.Incident, error) {
	return s.store.Incidents(ctx, store.IncidentFilter{From: from, To: to, Limit: 10_000})
}

func (s recordSource) AlertsOf(ctx context.Context, id string) (int, error) {
	list, err := s.store.Deliveries(ctx, id, 1000)
	n := 0
	for _, d := range list {
		if d.State == "sent" {
			n++
		}
	}
	return n, err
}

func (s recordSource) Filled(ctx context.Context, kind, day string) (map[record.CellID]string, error) {
	list, err := s.store.Filled(ctx, kind, day)
	if err != nil {
		return nil, err
	}
	out := map[record.CellID]string{}
	for _, f := range list {
		out[record.CellID{Row: f.Row, Field: f.Field}] = f.Value
	}
	return out, nil
}

// WriteRecord writes a document to a file: from the coordinator that serves at
// the configured address, or from its store when none serves.
func WriteRecord(ctx context.Context, cfg Config, log *slog.Logger, kind, period, file string) error {
	ext := strings.TrimPrefix(filepath.Ext(file), ".")
	if ext != "xlsx" && ext != "json" {
		return fmt.Errorf("-o %s: want a file that ends in .xlsx or .json", file)
	}
	doc, err := record.Find(kind)
	if err != nil {
		return err
	}
	if _, err := doc.Period(period); err != nil {
		return err
	}
	body, err := askForRecord(ctx, cfg, kind, period, ext)
	if errors.Is(err, syscall.ECONNREFUSED) {
		body, err = recordFromStore(ctx, cfg, log, kind, period, ext)
	}
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, body, 0o644); err != nil {
		return fmt.Errorf("writing the document: %w", err)
	}
	return nil
}

func askForRecord(ctx context.Context, cfg Config, kind, period, ext string) ([]byte, error) {
	base := cfg.PublicURL
	if base == "" {
		scheme := "http"
		if cfg.TLSCert != "" {
			scheme = "https"
		}
		base = scheme + "://" + cfg.HTTP
	}
	address, err := url.JoinPath(base, "api/v1/records", fmt.Sprintf("%s-%s.%s", kind, period, ext))
	if err != nil {
		return nil, fmt.Errorf("asking the coordinator at %s: %w", base, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("asking the coordinator at %s: %w", base, err)
	}
	if cfg.Password != "" {
		req.SetBasicAuth("coordinator", cfg.Password)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the coordinator at %s: %w", base, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 256<<20))
	if err != nil {
		return nil, fmt.Errorf("reading the document from %s: %w", address, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking %s: want HTTP 200, got %s: %s", address, res.Status, probes.Excerpt(string(body)))
	}
	return body, nil
}

func recordFromStore(ctx context.Context, cfg Config, log *slog.Logger, kind, period, ext string) (_ []byte, err error) {
	st, err := store.Open(ctx, store.Options{Dir: cfg.DataDir, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("no coordinator serves at %s, and its store cannot be opened: %w", cfg.HTTP, err)
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	var current *definition.Catalog
	rev, body, err := st.LatestCatalog(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the definitions in the store: %w", err)
	}
	unpacked, files, err := definition.Unpack(body)
	if err == nil {
		unpacked.Seq, unpacked.Accepted = rev.Seq, rev.Accepted
		current, err = definition.Compile(unpacked, files, kinds.All())
	}
	if err != nil {
		return nil, fmt.Errorf("compiling the definitions in the store: %w", err)
	}
	r := &records{store: st, catalog: func() *definition.Catalog { return current }, cfg: cfg, base: cfg.PublicURL, now: time.Now}
	var out bytes.Buffer
	if _, err := r.Render(ctx, kind, period, ext, &out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
