package catalog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// The cache is one file: the body's SHA-256 in hex, a line feed, the body.
const digestLine = 2*32 + 1

// errDamaged says that the cache holds something else than what was written.
var errDamaged = errors.New("the file is damaged")

func (k *Keeper) path() string { return filepath.Join(k.o.Dir, "catalog.bundle") }

// keep writes the body durably beside the old one and swaps them. An agent that
// cannot write its cache still runs; it only cannot restart alone.
func (k *Keeper) keep(body []byte, digest string) {
	if err := writeDurably(k.path(), append([]byte(digest+"\n"), body...)); err != nil {
		k.o.Logger.Warn("could not cache the catalog; without a coordinator this agent cannot restart with it", "err", err)
	}
}

// readCache returns the cached body and the digest it was stored under, which
// the body is yet to be compared with.
func (k *Keeper) readCache() (body []byte, digest string, err error) {
	f, err := os.Open(k.path())
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	limit := digestLine + k.o.MaxBody
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, "", err
	}
	if int64(len(data)) > limit {
		return nil, "", fmt.Errorf("%w: want at most %d bytes, got more", errDamaged, limit)
	}
	head, body, ok := bytes.Cut(data, []byte("\n"))
	if _, err := hex.DecodeString(string(head)); !ok || err != nil || len(head) != digestLine-1 {
		return nil, "", fmt.Errorf("%w: it does not begin with the digest of what follows", errDamaged)
	}
	return body, string(head), nil
}

const unfinished = ".catalog-*"

// removeUnfinished removes what a crash left behind while the cache was written.
func removeUnfinished(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, unfinished))
	for _, name := range names {
		err = errors.Join(err, os.Remove(name))
	}
	if err != nil {
		return fmt.Errorf("removing what was left unfinished in %s: %w", dir, err)
	}
	return nil
}

// writeDurably replaces path by data so that a crash leaves the old or the new.
func writeDurably(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), unfinished)
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
