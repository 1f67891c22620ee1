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
	"sync"
	"sync/atomic"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// DefaultMaxBody bounds a catalog's body, in bytes, where the options do not.
const DefaultMaxBody = 64 << 20

// Options say where a Keeper looks and what it keeps.
type Options struct {
	Dir    string // where the body is cached
	Newest *definition.Newest
	Kinds  []probes.Kind
	// Coordinators lists the HTTP addresses of live coordinators.
	Coordinators func() []string
	Token        string
	HTTP         *http.Client
	MaxBody      int64 // bound of a body, in bytes; default DefaultMaxBody
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
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	k := &Keeper{o: o}
	if err := removeUnfinished(o.Dir); err != nil {
		return nil, err
	}
	body, digest, err := k.readCache()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return k, nil
	case errors.Is(err, errDamaged):
	case err != nil:
		return nil, fmt.Errorf("reading the cached catalog %s: %w", k.path(), err)
	default:
		err = k.use(body, digest, 0)
	}
	if err != nil {
		o.Logger.Warn("ignoring the cached catalog, waiting for a coordinator", "file", k.path(), "err", err)
	}
	return k, nil
}

// Current returns the catalog in use, nil before the first.
func (k *Keeper) Current() *definition.Catalog { return k.current.Load() }

// How long Run waits before it tries again after a failure, and at most; and
// how long a coordinator may be silent before the next is asked as well.
const (
	soonest = 500 * time.Millisecond
	slowest = 15 * time.Second
	patient = 2 * time.Second
)

// Run follows the announcements until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	wait, pause := time.Duration(0), soonest
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
			wait, pause = slowest, soonest
			continue
		}
		if err := k.fetch(ctx, want); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			k.o.Logger.Warn("could not take the new catalog, keeping the one in use", "commit", want.Commit, "err", err)
			wait, pause = pause, min(2*pause, slowest)
			continue
		}
		wait, pause = slowest, soonest
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

// fetch asks the coordinators for the announced body: one after the other, and
// the next as well when one is silent.
func (k *Keeper) fetch(ctx context.Context, a definition.Announcement) error {
	bases := k.o.Coordinators()
	if len(bases) == 0 {
		return errors.New("no live coordinator announces an HTTP address; the gossip shows agents only")
	}
	type answer struct {
		body []byte
		err  error
	}
	answers := make(chan answer, len(bases))
	var asked sync.WaitGroup
	defer asked.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next, pending := 0, 0
	ask := func() {
		if next == len(bases) {
			return
		}
		base := bases[next]
		next++
		pending++
		asked.Go(func() {
			body, err := k.get(ctx, base, a.Digest)
			answers <- answer{body, err}
		})
	}
	var errs []error
	for ask(); pending > 0; {
		silent := time.NewTimer(patient)
		select {
		case <-silent.C:
			ask()
			continue
		case got := <-answers:
			silent.Stop()
			pending--
			if got.err == nil {
				got.err = k.use(got.body, a.Digest, a.Seq)
			}
			if got.err == nil {
				k.keep(got.body, a.Digest)
				return nil
			}
			errs = append(errs, got.err)
			ask()
		}
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
	body, err := io.ReadAll(io.LimitReader(res.Body, k.o.MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading the catalog from %s: %w", address, err)
	}
	if int64(len(body)) > k.o.MaxBody {
		return nil, fmt.Errorf("the catalog at %s is larger than %d bytes", address, k.o.MaxBody)
	}
	return body, nil
}

// use verifies and compiles body and takes it into use. A seq of 0 is any.
func (k *Keeper) use(body []byte, digest string, seq uint64) error {
	sum := sha256.Sum256(body)
	if got := hex.EncodeToString(sum[:]); got != digest {
		return fmt.Errorf("verifying the catalog: want SHA-256 %s, got %s", digest, got)
	}
	rev, files, err := definition.Unpack(body)
	if err != nil {
		return fmt.Errorf("unpacking the catalog: %w", err)
	}
	if seq != 0 && rev.Seq != seq {
		// An old body under a new number would take the fleet back.
		return fmt.Errorf("verifying the catalog: want revision %d as announced, got revision %d", seq, rev.Seq)
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
