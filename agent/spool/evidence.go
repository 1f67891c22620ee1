package spool

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// MaxEvidence is the largest picture or text that a spool takes, in bytes: as
// much as a coordinator does.
const MaxEvidence = 1 << 20

// box is the evidence on disk, oldest first. A file is named by its SHA-256 and
// holds one line of JSON and then the data.
type box struct {
	dir string
	max int64
	log *slog.Logger

	mu      sync.Mutex // guards what follows, and the files
	list    []piece
	bytes   int64
	dropped uint64
	corrupt uint64
}

type piece struct {
	sha256 string
	size   int64 // of the file
}

type pieceHead struct {
	Kind string `json:"kind"`
	MIME string `json:"mime"`
}

func openBox(dir string, limit int64, log *slog.Logger) (*box, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing spooled evidence: %w", err)
	}
	b := &box{dir: dir, max: limit, log: log}
	ages := map[string]time.Time{}
	for _, e := range entries {
		name := e.Name()
		if strings.HasSuffix(name, ".tmp") {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return nil, fmt.Errorf("removing half-written evidence: %w", err)
			}
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("listing spooled evidence: %w", err)
		}
		if len(name) != sha256.Size*2 || !info.Mode().IsRegular() {
			continue
		}
		ages[name] = info.ModTime()
		b.list = append(b.list, piece{sha256: name, size: info.Size()})
		b.bytes += info.Size()
	}
	slices.SortFunc(b.list, func(x, y piece) int {
		return cmp.Or(ages[x.sha256].Compare(ages[y.sha256]), cmp.Compare(x.sha256, y.sha256))
	})
	return b, nil
}

func (b *box) put(e probes.Evidence) error {
	if len(e.Data) > MaxEvidence {
		return fmt.Errorf("want at most %d bytes, got %d", MaxEvidence, len(e.Data))
	}
	if sum := sha256.Sum256(e.Data); hex.EncodeToString(sum[:]) != e.SHA256 {
		return fmt.Errorf("its SHA-256 is %x", sum)
	}
	head, err := json.Marshal(pieceHead{Kind: e.Kind, MIME: e.MIME})
	if err != nil {
		return err
	}
	content := slices.Concat(head, []byte("\n"), e.Data)
	size := int64(len(content))

	b.mu.Lock()
	defer b.mu.Unlock()
	if size > b.max {
		return fmt.Errorf("want at most %d bytes in all, got a file of %d", b.max, size)
	}
	if slices.ContainsFunc(b.list, func(p piece) bool { return p.sha256 == e.SHA256 }) {
		return nil
	}
	for b.bytes+size > b.max {
		b.removeLocked(b.list[0].sha256)
		b.dropped++
		b.log.Warn("spool is full, the oldest evidence was dropped", "dropped_in_all", b.dropped, "limit", b.max)
	}
	if err := replaceFile(filepath.Join(b.dir, e.SHA256), content, true); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	b.list = append(b.list, piece{sha256: e.SHA256, size: size})
	b.bytes += size
	return nil
}

// oldest reads the oldest evidence. What is damaged is removed and counted.
func (b *box) oldest() (probes.Evidence, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.list) > 0 {
		name := b.list[0].sha256
		e, err := readPiece(filepath.Join(b.dir, name), name)
		if err == nil {
			return e, true
		}
		b.corrupt++
		b.log.Warn("spooled evidence is damaged, removing it", "sha256", name, "error", err)
		b.removeLocked(name)
	}
	return probes.Evidence{}, false
}

func readPiece(path, name string) (probes.Evidence, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return probes.Evidence{}, err
	}
	line, data, ok := bytes.Cut(content, []byte("\n"))
	if !ok {
		return probes.Evidence{}, errors.New("no head")
	}
	var head pieceHead
	if err := json.Unmarshal(line, &head); err != nil {
		return probes.Evidence{}, fmt.Errorf("reading the head: %w", err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != name {
		return probes.Evidence{}, fmt.Errorf("its SHA-256 is %x", sum)
	}
	return probes.Evidence{Kind: head.Kind, MIME: head.MIME, SHA256: name, Size: len(data), Data: data}, nil
}

func (b *box) remove(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.removeLocked(name)
}

func (b *box) removeLocked(name string) {
	i := slices.IndexFunc(b.list, func(p piece) bool { return p.sha256 == name })
	if i < 0 {
		return // dropped meanwhile
	}
	if err := os.Remove(filepath.Join(b.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		b.log.Error("removing spooled evidence failed", "sha256", name, "error", err)
	}
	b.bytes -= b.list[i].size
	b.list = slices.Delete(b.list, i, i+1)
}

func (b *box) stats(st *Stats) {
	b.mu.Lock()
	defer b.mu.Unlock()
	st.Evidence = len(b.list)
	st.Bytes += b.bytes
	st.EvidenceDropped = b.dropped
	st.Corrupt += b.corrupt
}

// Bounds of the pit.
const (
	maxPitFiles = 64
	maxPitBytes = 8 << 20
)

// pit keeps the newest of what no coordinator would take, for people to look at.
type pit struct {
	dir   string
	mu    sync.Mutex // guards the files
	count atomic.Uint64
}

// add sets data aside. It is best effort: the count is what matters.
func (p *pit) add(kind string, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.count.Add(1)
	name := fmt.Sprintf("%020d-%06d.%s", time.Now().UnixNano(), n, kind)
	if err := replaceFile(filepath.Join(p.dir, name), data, false); err != nil {
		return fmt.Errorf("setting %s aside: %w", kind, err)
	}
	entries, err := os.ReadDir(p.dir) // sorted by name, that is by age
	if err != nil {
		return fmt.Errorf("listing what was set aside: %w", err)
	}
	var files int
	var total int64
	for _, e := range slices.Backward(entries) {
		info, err := e.Info()
		if err != nil {
			continue
		}
		files, total = files+1, total+info.Size()
		if files > maxPitFiles || total > maxPitBytes && files > 1 {
			if err := os.Remove(filepath.Join(p.dir, e.Name())); err != nil {
				return fmt.Errorf("forgetting the oldest that was set aside: %w", err)
			}
		}
	}
	return nil
}
