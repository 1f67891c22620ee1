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
	"sync"
	"syscall"
	"time"

	"github.com/gengfu/gengfu/coordinator/availability"
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

	mu     sync.Mutex
	counts map[string]counted // by day, those of the list
}

// Sheet composes one document.
func (r *records) Sheet(ctx context.Context, kind, period string) (record.Sheet, error) {
	return r.compose(ctx, recordSource{r.store}, kind, period, r.now(), r.catalog())
}

// compose composes one document from a source, as of now, by a catalog, which
// may be nil.
func (r *records) compose(ctx context.Context, src record.Source, kind, period string, now time.Time, c *definition.Catalog) (record.Sheet, error) {
	doc, err := record.Find(kind)
	if err != nil {
		return record.Sheet{}, fmt.Errorf("%w: %w", view.ErrNotFound, err)
	}
	p, err := doc.Period(period)
	if err != nil {
		return record.Sheet{}, fmt.Errorf("%w: %w", view.ErrNotFound, err)
	}
	s := record.Setting{Now: now, Client: r.cfg.Client, Compiler: r.cfg.Compiler, Rounds: rounds(c)}
	if c != nil {
		s.Commit, s.Services = c.Revision.Commit, c.Services
		for _, m := range c.Calendar.Maintenance {
			s.Windows = append(s.Windows, record.Window{Services: m.Services, From: m.From, To: m.To, Reason: m.Reason})
		}
	}
	facts, err := record.Load(ctx, src, kind, p, s)
	if err != nil {
		return record.Sheet{}, fmt.Errorf("composing %s of %s: %w", kind, period, err)
	}
	sheet, err := doc.Compose(p, facts)
	if err != nil {
		return record.Sheet{}, fmt.Errorf("composing %s of %s: %w", kind, period, err)
	}
	return sheet, nil
}

// rounds are the times of the day for which the daily record says what was seen.
func rounds(c *definition.Catalog) []time.Duration {
	if c != nil && len(c.Calendar.Rounds) > 0 {
		return c.Calendar.Rounds
	}
	return []time.Duration{9 * time.Hour, 14 * time.Hour, 17 * time.Hour}
}

// Render composes a document and writes it in a format.
func (r *records) Render(ctx context.Context, kind, period, ext string, w io.Writer) (string, error) {
	if ext != "xlsx" && ext != "json" { // before the work, not after it
		return "", fmt.Errorf("%w: want the format xlsx or json, got %q", view.ErrNotFound, ext)
	}
	sheet, err := r.Sheet(ctx, kind, period)
	if err != nil {
		return "", err
	}
	if ext == "xlsx" {
		if err := render.XLSX(w, sheet, r.base); err != nil {
			return "", fmt.Errorf("writing %s of %s as a workbook: %w", kind, period, err)
		}
		return render.XLSXType, nil
	}
	if err := json.NewEncoder(w).Encode(sheet); err != nil {
		return "", fmt.Errorf("writing %s of %s as JSON: %w", kind, period, err)
	}
	return "application/json; charset=utf-8", nil
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
