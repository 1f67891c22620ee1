package tcpprobe

import (
	"bytes"
	"regexp"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzSearch holds what is found in pieces to what is found in the whole.
func FuzzSearch(f *testing.F) {
	f.Add([]byte("220 ready\r\n"), []byte("220"), byte(1))
	f.Add([]byte("aaab"), []byte("aab"), byte(2))
	f.Add([]byte{0, 1, 2, 0xff, 0xfe}, []byte{0xff, 0xfe}, byte(3))
	f.Add([]byte("250-a\r\n250 b\r\n"), []byte("250 "), byte(7))
	f.Fuzz(func(t *testing.T, all, literal []byte, step byte) {
		if len(literal) == 0 || len(all) == 0 {
			return
		}
		size := max(1, int(step))
		patterns := []*pattern{{literal: literal}}
		if utf8.Valid(literal) && !bytes.ContainsRune(literal, utf8.RuneError) {
			patterns = append(patterns, &pattern{re: regexp.MustCompile(regexp.QuoteMeta(string(literal)))})
		}
		for _, p := range patterns {
			whole := search{pattern: p}
			want := whole.found(all, true)
			s, got := search{pattern: p}, false
			for n := 0; n < len(all) && !got; {
				n = min(len(all), n+size)
				got = s.found(all[:n], n == len(all))
			}
			require.Equal(t, want, got)
		}
		require.NotEmpty(t, shown(all))
	})
}

// TestRegularExpressionsAreNotRunForEver over what a peer drips.
func TestRegularExpressionsAreNotRunForEver(t *testing.T) {
	s := search{pattern: &pattern{re: regexp.MustCompile(`b`)}}
	all := make([]byte, defaultMaxRead)
	for n := 1; n <= len(all); n++ {
		require.False(t, s.found(all[:n], false))
	}
	require.Less(t, s.work, maxWork+4*len(all))
	all[len(all)-1] = 'b'
	require.True(t, s.found(all, true), "in the end it is looked at once more")
}
