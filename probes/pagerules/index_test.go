package pagerules

import (
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever a page is made of, the index finds what it holds and nothing else.
func TestTheIndexFindsWhatIsThere(t *testing.T) {
	all := spoken()
	require.Greater(t, len(all), 50)
	for _, text := range all {
		require.NotEmpty(t, text)
	}
	x := known()
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		for range rapid.IntRange(0, 8).Draw(t, "parts") {
			text := rapid.SampledFrom(all).Draw(t, "text")
			cut := rapid.IntRange(0, len(text)).Draw(t, "cut")
			b.WriteString(text[cut:]) // also in the middle of a rune
			b.WriteString(rapid.StringN(0, 3, 9).Draw(t, "between"))
			b.WriteString(text[:cut])
			b.WriteString(text)
		}
		page := b.String()
		got := x.find(page)
		for _, text := range all {
			require.Equal(t, strings.Contains(page, text), got.has(page, text), text)
		}
	})
}

func TestSqueezingLeavesTheRangeItSkipsAlone(t *testing.T) {
	for r := rune(0x3001); r < 0xa640; r++ {
		require.False(t, unicode.IsSpace(r) || unicode.ToLower(r) != r, "%#x", r)
	}
	require.Equal(t, "ab中", squeeze(" A\u3000b\n中\ufeff"))
}

func BenchmarkMatchOnAHealthyPage(b *testing.B) {
	p := Page{
		Status: 200, Title: "社保个人权益记录查询", Source: "<!DOCTYPE html><html><head><script src=/app.js></script></head>",
		Text:   strings.Repeat("本页数据由经办机构于每月五日更新，如有疑问请拨打服务热线。", 12),
		Header: map[string][]string{"Content-Type": {"text/html"}, "Server": {"nginx"}, "Date": {"x"}},
		URL:    "https://h5.example.test/shebao/quanyi",
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Match(p); ok {
			b.Fatal("a healthy page was taken for another")
		}
	}
}
