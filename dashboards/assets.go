package dashboards

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// assets are the static files, each under a name that changes with its content,
// so that browsers may keep them for ever.
type assets struct {
	hashed map[string]string // "app.css" → "app.0123456789.css"
	files  map[string]asset  // by hashed and by plain name
}

type asset struct {
	name      string // with its extension, for the content type
	data      []byte
	etag      string
	immutable bool
}

func loadAssets(from fs.FS, dir string) (*assets, error) {
	entries, err := fs.ReadDir(from, dir)
	if err != nil {
		return nil, err
	}
	a := &assets{hashed: map[string]string{}, files: map[string]asset{}}
	for _, e := range entries {
		data, err := fs.ReadFile(from, path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		short := hex.EncodeToString(sum[:5])
		ext := path.Ext(e.Name())
		hashed := strings.TrimSuffix(e.Name(), ext) + "." + short + ext
		a.hashed[e.Name()] = hashed
		a.files[hashed] = asset{name: e.Name(), data: data, etag: `"` + short + `"`, immutable: true}
		a.files[e.Name()] = asset{name: e.Name(), data: data, etag: `"` + short + `"`}
	}
	return a, nil
}

// url is the address of a static file. An unknown name is a programmer's mistake.
func (a *assets) url(name string) (string, error) {
	h, ok := a.hashed[name]
	if !ok {
		return "", fmt.Errorf("no static file %q", name)
	}
	return "/static/" + h, nil
}

func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	f, ok := a.files[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	cache := "no-cache"
	if f.immutable {
		cache = "public, max-age=31536000, immutable"
	}
	w.Header().Set("Cache-Control", cache)
	w.Header().Set("ETag", f.etag)
	http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(f.data))
}
