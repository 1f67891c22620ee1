// Package catalog keeps an agent's catalog: it hears of a newer revision by
// gossip, fetches the body from any coordinator, verifies and compiles it, and
// keeps it on disk, so that an agent starts and goes on without a coordinator.
package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// MaxBody bounds a catalog's body, in bytes.
const MaxBody = 64 << 20

// Options say where a Keeper looks and what it keeps.
type Options struct {
	Dir    string // where the body is cached
	Newest *definition.Newest
	Kinds  []probes.Kind
	// Coordinators lists the HTTP addresses of live coordinators.
	Coordinators func() []string
	Token        string
	HTTP         *http.Client
	// OnChange is called after a catalog came into use; it must not block.
	OnChange func(*definition.Catalog)
	Logger   *slog.Logger
}

// Keeper keeps the catalog in use.
type Keeper struct {
	o       Options
	current atomic.Pointer[definition.Catalog]
}

// New makes a Keeper and loads the catalog cached on disk, if there is one. A
// damaged cache is reported and ignored: the coordinators have the original.
func New(o Options) (*Keeper, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the catalog's folder %s: %w", o.Dir, err)
	}
	k := &Keeper{o: o}
	body, err := os.ReadFile(k.path())
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the cached catalog %s: %w", k.path(), err)
	}
	if err := k.use(body, ""); err != nil {
		o.Logger.Warn("ignoring the cached catalog, waiting for a coordinator", "file", k.path(), "err", err)
	}
	return k, nil
}

func (k *Keeper) path() string { return filepath.Join(k.o.Dir, "catalog.bundle") }

// Current returns the catalog in use, nil before the first.
func (k *Keeper) Current() *definition.Catalog { return k.current.Load() }

// Run follows the announcements until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	const slowest = 15 * time.Second
	wait := time.Duration(0)
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-k.o.Newest.Changed():
			timer.Stop()
		case <-timer.C:
		}
		want := k.o.Newest.Current()
		if !k.wants(want) {
			wait = slowest
			continue
		}
		if err := k.fetch(ctx, want); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			k.o.Logger.Warn("could not take the new catalog, keeping the one in use", "commit", want.Commit, "err", err)
			wait = min(max(2*wait, 500*time.Millisecond), slowest)
			continue
		}
		wait = slowest
	}
}

// wants reports whether a is newer than the catalog in use. Revisions never go
// back, except by a new commit, which gets a greater Seq.
func (k *Keeper) wants(a definition.Announcement) bool {
	if a.Digest == "" {
		return false
	}
	c := k.current.Load()
	return c == nil || a.Seq > c.Revision.Seq && a.Digest != c.Revision.Digest ||
		a.Seq == c.Revision.Seq && a.Digest > c.Revision.Digest
}

// fetch asks the coordinators in turn for the announced body.
func (k *Keeper) fetch(ctx context.Context, a definition.Announcement) error {
	bases := k.o.Coordinators()
	if len(bases) == 0 {
		return errors.New("no live coordinator announces an HTTP address; the gossip shows agents only")
	}
	var errs []error
	for _, base := range bases {
		body, err := k.get(ctx, base, a.Digest)
		if err == nil {
			err = k.use(body, a.Digest)
		}
		if err == nil {
			return k.keep(body)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (k *Keeper) get(ctx context.Context, base, digest string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	address := base + "/api/v1/catalog/" + digest
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("asking for the catalog at %s: %w", address, err)
	}
	req.Header.Set("Authorization", "Bearer "+k.o.Token)
	res, err := k.o.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking for the catalog: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking for the catalog at %s: want HTTP 200, got %s", address, res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading the catalog from %s: %w", address, err)
	}
	if len(body) > MaxBody {
		return nil, fmt.Errorf("the catalog at %s is larger than %d bytes", address, MaxBody)
	}
	return body, nil
}

// use verifies and compiles body and takes it into use. A wanted digest of ""
// skips the comparison: the cache was verified when it was written.
func (k *Keeper) use(body []byte, digest string) error {
	sum := sha256.Sum256(body)
	if got := hex.EncodeToString(sum[:]); digest != "" && got != digest {
		return fmt.Errorf("verifying the catalog: want SHA-256 %s, got %s", digest, got)
	}
	rev, files, err := definition.Unpack(body)
	if err != nil {
		return fmt.Errorf("unpacking the catalog: %w", err)
	}
	c, err := definition.Compile(rev, files, k.o.Kinds)
	if err != nil {
		return fmt.Errorf("compiling the catalog %s (is this agent older than the coordinator?): %w", rev.Commit, err)
	}
	k.current.Store(c)
	k.o.Logger.Info("catalog in use", "commit", rev.Commit, "seq", rev.Seq, "services", len(c.Services))
	if k.o.OnChange != nil {
		k.o.OnChange(c)
	}
	return nil
}

// keep writes the body durably beside the old one and swaps them. An agent that
// cannot write its cache still runs; it only cannot restart alone.
func (k *Keeper) keep(body []byte) error {
	if err := writeDurably(k.path(), body); err != nil {
		k.o.Logger.Warn("could not cache the catalog; without a coordinator this agent cannot restart with it", "err", err)
	}
	return nil
}

// writeDurably replaces path by data so that a crash leaves the old or the new.
func writeDurably(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".catalog-*")
	if err != nil {
		return fmt.Errorf("making a temporary file beside %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.Name(), err)
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("replacing %s: %w", path, err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("opening the folder of %s: %w", path, err)
	}
	defer dir.Close()
	if err = dir.Sync(); err != nil {
		return fmt.Errorf("syncing the folder of %s: %w", path, err)
	}
	return nil
}
