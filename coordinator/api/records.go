package api

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gengfu/gengfu/coordinator/record"
	"github.com/gengfu/gengfu/coordinator/view"
)

func (s *server) records(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Records.List(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, whole(v))
}

// record serves one document: "daily-2026-11-25.xlsx", or ".json" for the model
// behind every format.
func (s *server) record(w http.ResponseWriter, r *http.Request) error {
	file := r.PathValue("file")
	at := strings.LastIndexByte(file, '.')
	kind, period, ok := strings.Cut(file[:max(at, 0)], "-")
	if at < 0 || !ok {
		return badRequest("record: want KIND-PERIOD.EXT such as daily-2026-11-25.xlsx, got %q", file)
	}
	if ext := file[at+1:]; ext != "json" {
		doc, err := record.Find(kind)
		if err != nil {
			return view.ErrNotFound
		}
		// Composed whole before the first byte: half a document is a wrong document.
		var body bytes.Buffer
		contentType, err := s.Records.Render(r.Context(), kind, period, ext, &body)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%s_%s.%s", doc.Title, period, ext)
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q; filename*=UTF-8''%s", file, url.PathEscape(name)))
		w.Header().Set("Cache-Control", "no-store")
		return send(w, body.Bytes())
	}
	sheet, err := s.Records.Sheet(r.Context(), kind, period)
	if err != nil {
		return err
	}
	return writeJSON(w, sheet)
}
