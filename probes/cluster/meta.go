package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/memberlist"
)

// MetaMax bounds an encoded Meta, in bytes: it travels in single UDP packets.
const MetaMax = memberlist.MetaMaxSize

// Meta is what every member knows of every other.
type Meta struct {
	Role         string            `json:"r,omitempty"` // "agent" or "coordinator"
	Labels       map[string]string `json:"l,omitempty"` // site, isp, network, …
	Capabilities []string          `json:"c,omitempty"` // browser, ipv6, …
	Weight       float64           `json:"w,omitempty"` // share of the work; 0 means 1
	Commit       string            `json:"k,omitempty"` // catalog in use, short
	HTTP         string            `json:"h,omitempty"` // a coordinator's HTTP address
	OTLP         string            `json:"o,omitempty"` // a coordinator's OTLP/gRPC address
	Version      string            `json:"s,omitempty"` // of the program
}

// wireMeta is how Meta travels. A reader ignores fields it does not know, so
// fields may be added without a new version; the version grows only when the
// meaning of an old field changes.
type wireMeta struct {
	V int `json:"v"`
	Meta
}

const metaVersion = 1

func (m Meta) encode() ([]byte, error) {
	b, err := json.Marshal(wireMeta{V: metaVersion, Meta: m})
	if err != nil {
		return nil, fmt.Errorf("encoding member metadata: %w", err)
	}
	if len(b) > MetaMax {
		part, size := m.largest()
		return nil, fmt.Errorf("member metadata: %d bytes, want at most %d: %d too many; the largest part is %s with %d bytes, shorten it",
			len(b), MetaMax, len(b)-MetaMax, part, size)
	}
	return b, nil
}

// largest names the part that takes the most room when encoded.
func (m Meta) largest() (part string, size int) {
	for _, p := range []struct {
		name  string
		value any
	}{
		{"labels", m.Labels},
		{"capabilities", m.Capabilities},
		{"role", m.Role},
		{"commit", m.Commit},
		{"http address", m.HTTP},
		{"otlp address", m.OTLP},
		{"version", m.Version},
	} {
		if b, err := json.Marshal(p.value); err == nil && len(b) > size {
			part, size = p.name, len(b)
		}
	}
	return part, size
}

func decodeMeta(b []byte) (Meta, error) {
	var w wireMeta
	if err := json.Unmarshal(b, &w); err != nil {
		return Meta{}, fmt.Errorf("decoding member metadata: %w", err)
	}
	if w.V < 1 {
		return Meta{}, fmt.Errorf("decoding member metadata: want a version from 1, got %d", w.V)
	}
	return w.Meta, nil
}

func (m Meta) clone() Meta {
	m.Labels = maps.Clone(m.Labels)
	if m.Labels == nil {
		m.Labels = map[string]string{} // so that SetMeta's caller may just write into it
	}
	m.Capabilities = slices.Clone(m.Capabilities)
	return m
}
