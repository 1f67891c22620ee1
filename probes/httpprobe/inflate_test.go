package httpprobe

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
)

// deflated compresses text by one encoding; "raw" is deflate without its frame.
func deflated(t testing.TB, encoding string, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch encoding {
	case "gzip", "x-gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "raw":
		w, err = flate.NewWriter(&b, 6)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		w, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	}
	require.NoError(t, err)
	_, err = w.Write(text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

var text = []byte(strings.Repeat("失业登记 0123456789\n", 500))

func TestInflate(t *testing.T) {
	for _, e := range []string{"gzip", "x-gzip", "deflate", "br", "zstd", "GZIP", " br , identity"} {
		name := strings.TrimSpace(strings.Split(strings.ToLower(e), ",")[0])
		b, cut, err := inflate(deflated(t, name, text), []string{e}, 1<<20, false)
		require.NoError(t, err, e)
		require.False(t, cut)
		require.Equal(t, text, b, e)
	}
	b, _, err := inflate(deflated(t, "raw", text), []string{"deflate"}, 1<<20, false)
	require.NoError(t, err)
	require.Equal(t, text, b)
}

func TestInflateChain(t *testing.T) {
	// "gzip, br" says that br was applied last.
	raw := deflated(t, "br", deflated(t, "gzip", text))
	for _, headers := range [][]string{{"gzip, br"}, {"gzip", "br"}} {
		b, cut, err := inflate(raw, headers, 1<<20, false)
		require.NoError(t, err)
		require.False(t, cut)
		require.Equal(t, text, b)
	}
	_, _, err := inflate(raw, []string{"br, gzip"}, 1<<20, false)
	require.Equal(t, probes.ClassEncoding, probes.Classify(err))
	_, _, err = inflate(raw, []string{"gzip, gzip, gzip, gzip"}, 1<<20, false)
	require.ErrorContains(t, err, "gzip, gzip, gzip, gzip")
}

func TestInflateIsBounded(t *testing.T) {
	zeros := make([]byte, 16<<20)
	for _, e := range []string{"gzip", "deflate", "br", "zstd"} {
		bomb := deflated(t, e, zeros)
		require.Less(t, len(bomb), 100_000, e)
		b, cut, err := inflate(bomb, []string{e}, 1<<20, false)
		require.NoError(t, err, e)
		require.True(t, cut, e)
		require.Len(t, b, 1<<20, e)
		// A bomb inside a bomb is bounded at each layer.
		b, cut, err = inflate(deflated(t, "gzip", bomb), []string{e + ", gzip"}, 1<<20, false)
		require.NoError(t, err, e)
		require.True(t, cut, e)
		require.Len(t, b, 1<<20, e)
	}
}

func TestInflateWindowIsBounded(t *testing.T) {
	// A frame that asks for a window of 128 MiB: magic, no single segment, exponent 17.
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00}
	_, _, err := inflate(frame, []string{"zstd"}, 1<<20, false)
	require.Equal(t, probes.ClassEncoding, probes.Classify(err), "%v", err)
}

func TestInflateTellsDamageFromACut(t *testing.T) {
	for _, e := range []string{"gzip", "deflate", "br", "zstd"} {
		raw := deflated(t, e, text)
		_, _, err := inflate([]byte("<html>plain text</html>"), []string{e}, 1<<20, false)
		require.Equal(t, probes.ClassEncoding, probes.Classify(err), "%s: %v", e, err)
		_, _, err = inflate(raw[:len(raw)/2], []string{e}, 1<<20, false)
		require.Equal(t, probes.ClassReset, probes.Classify(err), "%s: %v", e, err)
		b, cut, err := inflate(raw[:len(raw)/2], []string{e}, 1<<20, true)
		require.NoError(t, err, "%s: our own bound cut it", e)
		require.True(t, cut)
		require.LessOrEqual(t, len(b), len(text))
	}
	b, _, err := inflate(nil, []string{"gzip"}, 1<<20, false)
	require.NoError(t, err, "a reply to HEAD has no body")
	require.Empty(t, b)
	_, _, err = inflate([]byte("x"), []string{"compress"}, 1<<20, true)
	require.Equal(t, probes.ClassEncoding, probes.Classify(err))
}

func TestAShortBodyIsNoGzipThatWasCut(t *testing.T) {
	_, _, err := inflate([]byte("ok"), []string{"gzip"}, 1<<20, false)
	require.Equal(t, probes.ClassEncoding, probes.Classify(err))
	b, cut, err := inflate([]byte{0x1f, 0x8b}, []string{"gzip"}, 1<<20, true)
	require.NoError(t, err, "our own bound cut it")
	require.True(t, cut)
	require.Empty(t, b)
}

func TestReadBounded(t *testing.T) {
	for _, length := range []int64{-1, 0, 3, 10, 1 << 40} {
		b, cut, err := readBounded(strings.NewReader("0123456789"), length, 10)
		require.NoError(t, err)
		require.False(t, cut)
		require.Equal(t, "0123456789", string(b))
		b, cut, err = readBounded(strings.NewReader("0123456789"), length, 9)
		require.NoError(t, err)
		require.True(t, cut)
		require.Equal(t, "012345678", string(b))
	}
}
