package confirm

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// request asks to run one slot of one probe now.
type request struct {
	key    probes.Key
	slot   time.Time // start, UTC
	digest string    // of the asker's catalog
	came   time.Time // when it was received; does not travel
}

// wire is how a request travels. Readers ignore fields they do not know; the
// version grows when the meaning of an old field changes.
type wire struct {
	Version int        `json:"v"`
	Probe   probes.Key `json:"probe"`
	Slot    int64      `json:"slot"` // Unix nanoseconds: slots are told apart exactly
	Digest  string     `json:"digest,omitempty"`
}

const (
	version    = 1
	maxRequest = 4 << 10
)

func (r request) encode() []byte {
	b, err := json.Marshal(wire{version, r.key, r.slot.UnixNano(), r.digest})
	if err != nil {
		panic(fmt.Sprintf("encoding a request of plain values: %v", err))
	}
	return b
}

func decode(b []byte) (request, error) {
	if len(b) > maxRequest {
		return request{}, fmt.Errorf("decoding a request: want at most %d bytes, got %d", maxRequest, len(b))
	}
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return request{}, fmt.Errorf("decoding a request: %w", err)
	}
	if w.Version != version {
		return request{}, fmt.Errorf("decoding a request: want version %d, got %d", version, w.Version)
	}
	if w.Probe == (probes.Key{}) || w.Slot <= 0 {
		return request{}, fmt.Errorf("decoding a request: want a probe and a slot, got %q and %d", w.Probe, w.Slot)
	}
	return request{key: w.Probe, slot: time.Unix(0, w.Slot).UTC(), digest: w.Digest}, nil
}
