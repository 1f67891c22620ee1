package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Everything that we send inside memberlist is one frame:
//
//	version byte (1) | type byte | fields, each a uvarint length and its bytes
//
// A message has the fields kind, from, payload; states have name and data by turns.
const (
	frameVersion  = 1
	frameMessage  = 'm'
	frameStates   = 's'
	maxPayload    = 64 << 10 // of a message
	maxState      = 1 << 20  // of one state
	maxName       = 256      // of a kind, member or state
	maxStateCount = 64       // in one frame
)

var errFrame = errors.New("malformed gossip frame")

// message is a directed message.
type message struct {
	kind, from string
	payload    []byte
}

// stateFrame is one state's snapshot, as somebody had it.
type stateFrame struct {
	name string
	data []byte
}

func (m message) encode() []byte {
	b := make([]byte, 0, 2+len(m.kind)+len(m.from)+len(m.payload)+3*binary.MaxVarintLen32)
	b = append(b, frameVersion, frameMessage)
	b = appendField(b, m.kind)
	b = appendField(b, m.from)
	return appendField(b, m.payload)
}

func encodeStates(states ...stateFrame) []byte {
	b := []byte{frameVersion, frameStates}
	for _, s := range states {
		b = appendField(b, s.name)
		b = appendField(b, s.data)
	}
	return b
}

func appendField[T string | []byte](b []byte, field T) []byte {
	b = binary.AppendUvarint(b, uint64(len(field)))
	return append(b, field...)
}

// decodeFrame reads a message or states. What it returns shares no memory with b.
func decodeFrame(b []byte) (*message, []stateFrame, error) {
	if len(b) < 2 {
		return nil, nil, fmt.Errorf("%w: %d bytes", errFrame, len(b))
	}
	if b[0] != frameVersion {
		return nil, nil, fmt.Errorf("%w: version %d, want %d", errFrame, b[0], frameVersion)
	}
	switch typ, rest := b[1], b[2:]; typ {
	case frameMessage:
		m, err := decodeMessage(rest)
		return m, nil, err
	case frameStates:
		states, err := decodeStates(rest)
		return nil, states, err
	default:
		return nil, nil, fmt.Errorf("%w: type %q", errFrame, typ)
	}
}

func decodeMessage(b []byte) (*message, error) {
	kind, b, err := cutField(b, maxName)
	if err != nil {
		return nil, err
	}
	from, b, err := cutField(b, maxName)
	if err != nil {
		return nil, err
	}
	payload, b, err := cutField(b, maxPayload)
	if err != nil {
		return nil, err
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%w: %d bytes too many", errFrame, len(b))
	}
	return &message{kind: string(kind), from: string(from), payload: append([]byte{}, payload...)}, nil
}

func decodeStates(b []byte) ([]stateFrame, error) {
	var states []stateFrame
	for len(b) > 0 {
		if len(states) == maxStateCount {
			return nil, fmt.Errorf("%w: more than %d states", errFrame, maxStateCount)
		}
		name, rest, err := cutField(b, maxName)
		if err != nil {
			return nil, err
		}
		data, rest, err := cutField(rest, maxState)
		if err != nil {
			return nil, err
		}
		states = append(states, stateFrame{name: string(name), data: append([]byte{}, data...)})
		b = rest
	}
	return states, nil
}

func cutField(b []byte, limit int) (field, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return nil, nil, fmt.Errorf("%w: no length", errFrame)
	}
	b = b[size:]
	if n > uint64(limit) || n > uint64(len(b)) {
		return nil, nil, fmt.Errorf("%w: a field of %d bytes, %d are left and %d allowed", errFrame, n, len(b), limit)
	}
	return b[:n], b[n:], nil
}
