package cluster

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFramesRoundTrip(t *testing.T) {
	want := message{kind: "confirm", from: "a", payload: []byte{0, 1, 255}}
	m, states, err := decodeFrame(want.encode())
	require.NoError(t, err)
	require.Nil(t, states)
	require.Equal(t, want, *m)

	m, states, err = decodeFrame(encodeStates(stateFrame{"one", []byte("1")}, stateFrame{"two", []byte{}}))
	require.NoError(t, err)
	require.Nil(t, m)
	require.Equal(t, []stateFrame{{"one", []byte("1")}, {"two", []byte{}}}, states)
}

func TestBrokenFramesAreRefused(t *testing.T) {
	good := message{kind: "k", from: "a", payload: []byte("p")}.encode()
	for name, b := range map[string][]byte{
		"empty":           nil,
		"another version": append([]byte{2}, good[1:]...),
		"another type":    {1, 'x'},
		"cut":             good[:len(good)-1],
		"too long":        append(bytes.Clone(good), 0),
		"huge length":     {1, 'm', 255, 255, 255, 255, 255, 255, 255, 255, 255, 1},
		"many states":     append([]byte{1, 's'}, make([]byte, 2*(maxStateCount+1))...),
	} {
		_, _, err := decodeFrame(b)
		require.ErrorIs(t, err, errFrame, name)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(message{kind: "k", from: "a", payload: []byte("p")}.encode())
	f.Add(encodeStates(stateFrame{"set", []byte(`{"a":true}`)}))
	f.Add([]byte{1, 's', 3, 's', 'e', 't', 200})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		m, states, err := decodeFrame(b)
		require.Equal(t, before, b)
		if err != nil {
			return
		}
		if m != nil {
			again, _, err := decodeFrame(m.encode())
			require.NoError(t, err)
			require.Equal(t, m, again)
			return
		}
		_, again, err := decodeFrame(encodeStates(states...))
		require.NoError(t, err)
		require.Equal(t, states, again)
	})
}

// FuzzMerge feeds what any member could send to the place where it is taken.
func FuzzMerge(f *testing.F) {
	f.Add(encodeStates(stateFrame{"set", []byte(`{"a":true}`)}))
	f.Add(encodeStates(stateFrame{"set", []byte(`[`)}, stateFrame{"other", nil}))
	f.Add(message{kind: "k", from: "a"}.encode())
	f.Fuzz(func(_ *testing.T, b []byte) {
		c := &Cluster{
			log:      slog.New(slog.DiscardHandler),
			states:   map[string]State{"set": &grow{}},
			large:    map[string]bool{},
			messages: make(chan message, 1), merges: make(chan stateFrame, 2), sendLarge: make(chan struct{}, 1),
			stopped: true, // nothing is passed on
		}
		c.take(b)
		for len(c.merges) > 0 {
			c.merge(<-c.merges)
		}
	})
}

func TestMetaOfOtherVersions(t *testing.T) {
	m := Meta{Role: "agent", Labels: map[string]string{"site": "北"}, Capabilities: []string{"browser"}, Weight: 0.5, HTTP: "http://a:1", OTLP: "a:2", Commit: "abc", Version: "1"}
	b, err := m.encode()
	require.NoError(t, err)
	got, err := decodeMeta(b)
	require.NoError(t, err)
	require.Equal(t, m, got)

	got, err = decodeMeta([]byte(`{"v":7,"r":"agent","new":{"x":[1,2]},"l":{"site":"a"}}`))
	require.NoError(t, err)
	require.Equal(t, Meta{Role: "agent", Labels: map[string]string{"site": "a"}}, got)
	for _, bad := range []string{"", "x", "{}", `{"v":1,"r":5}`, `null`} {
		_, err := decodeMeta([]byte(bad))
		require.Error(t, err, bad)
	}
	_, err = Meta{Labels: map[string]string{"note": strings.Repeat("长", 200)}}.encode()
	require.ErrorContains(t, err, "want at most 512")
	require.ErrorContains(t, err, "the largest part is labels")
}

func FuzzMeta(f *testing.F) {
	f.Add([]byte(`{"v":1,"r":"agent","l":{"site":"a"},"w":1e308}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil {
			return
		}
		if again, err := m.encode(); err == nil {
			_, err := decodeMeta(again)
			require.NoError(t, err)
		}
	})
}
