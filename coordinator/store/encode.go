package store

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// nanos is t as stored: Unix nanoseconds, 0 for the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// instant is the inverse of nanos, in UTC.
func instant(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// still stands in due.until for a span without an end.
const still = math.MaxInt64

func untilNanos(t time.Time) int64 {
	if t.IsZero() {
		return still
	}
	return t.UnixNano()
}

func untilInstant(n int64) time.Time {
	if n == still {
		return time.Time{}
	}
	return instant(n)
}

// pack compresses b. gzip names itself in its first bytes, so that another
// format can follow later without touching old rows, and carries a checksum.
func pack(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	return out.Bytes(), nil
}

func unpack(b []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("decompressing: %w", err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("decompressing: %w", err)
	}
	return out, nil
}

// packRun encodes a run. What JSON cannot say is left out, so that one odd
// number never keeps a run out of the record.
func packRun(r probes.Run) ([]byte, error) {
	r.Slot, r.Started = r.Slot.UTC(), r.Started.UTC()
	if r.Result.TLSUntil = r.Result.TLSUntil.UTC(); r.Result.TLSUntil.Year() > 9999 {
		r.Result.TLSUntil = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	}
	r.Result.Measures = maps.Clone(r.Result.Measures)
	maps.DeleteFunc(r.Result.Measures, func(_ string, v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encoding run %s: %w", r.TraceID, err)
	}
	return pack(b)
}

func unpackRun(b []byte) (probes.Run, error) {
	var r probes.Run
	plain, err := unpack(b)
	if err == nil {
		err = json.Unmarshal(plain, &r)
	}
	if err != nil {
		return probes.Run{}, fmt.Errorf("decoding a stored run: %w", err)
	}
	return r, nil
}

// encode makes the JSON text of a column.
func encode(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encoding %T: %w", v, err)
	}
	return string(b), nil
}

func decode(text string, v any) error {
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("decoding a stored %T: %w", v, err)
	}
	return nil
}
