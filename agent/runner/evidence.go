package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/gengfu/gengfu/probes"
)

// keep names each piece of evidence by its hash and stores it. A run without its
// picture is better than none, so what cannot be kept is dropped, and counted.
func (r *Runner) keep(ctx context.Context, key probes.Key, pieces []probes.Evidence) []probes.Evidence {
	var kept []probes.Evidence
	for i, e := range pieces {
		if err := r.keepPiece(ctx, i, &e); err != nil {
			r.dropped.Add(1)
			r.o.Logger.Warn("evidence dropped", "probe", key, "kind", e.Kind, "bytes", len(e.Data), "err", err)
			continue
		}
		kept = append(kept, e)
	}
	return kept
}

func (r *Runner) keepPiece(ctx context.Context, i int, e *probes.Evidence) error {
	switch {
	case i >= maxEvidence:
		return fmt.Errorf("keeping evidence: more than %d pieces in one run", maxEvidence)
	case len(e.Data) == 0:
		return fmt.Errorf("keeping evidence: it is empty")
	case len(e.Data) > maxPiece:
		return fmt.Errorf("keeping evidence: want at most %d bytes, got %d", maxPiece, len(e.Data))
	}
	e.Kind, e.MIME = bounded(e.Kind, maxName), bounded(e.MIME, maxName)
	sum := sha256.Sum256(e.Data)
	e.SHA256, e.Size = hex.EncodeToString(sum[:]), len(e.Data)
	if r.o.Keep == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, keepFor)
	defer cancel()
	if err := r.o.Keep(ctx, *e); err != nil {
		return fmt.Errorf("keeping evidence %s: %w", e.SHA256, err)
	}
	e.Data = nil // it travels apart from here on
	return nil
}
