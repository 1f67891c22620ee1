package httpprobe

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"
)

func gb(t testing.TB, s string) string {
	t.Helper()
	out, err := simplifiedchinese.GB18030.NewEncoder().String(s)
	require.NoError(t, err)
	return out
}

func TestDecodeText(t *testing.T) {
	const text = "社会保险个人权益记录查询，<b>status</b>"
	for _, tt := range []struct {
		name, body, declared string
		cut                  bool
		text, charset, guess string
		wrong                bool
	}{
		{name: "nothing declared", body: text, text: text, charset: "utf-8"},
		{name: "ASCII under any label", body: "plain", declared: "gbk", text: "plain", charset: "gb18030"},
		{name: "ASCII under none", body: "plain", text: "plain", charset: "utf-8"},
		{name: "empty", charset: "utf-8"},
		{name: "byte-order mark over a wrong label", body: "\xef\xbb\xbf" + text, declared: "gbk", text: text, charset: "utf-8"},
		{name: "UTF-16", body: "\xff\xfe\x3e\x79", text: "社", charset: "utf-16le"},
		{name: "UTF-16, big end first", body: "\xfe\xff\x79\x3e", text: "社", charset: "utf-16be"},
		{name: "GBK", body: gb(t, text), declared: "GBK", text: text, charset: "gb18030"},
		{name: "GB2312 with a name beyond it", body: gb(t, "𠮷镕"), declared: "gb2312", text: "𠮷镕", charset: "gb18030"},
		{name: "two words of GBK that are valid UTF-8, too", body: gb(t, "系统"), declared: "gbk", text: "系统", charset: "gb18030"},
		{name: "GBK undeclared", body: gb(t, text), text: text, charset: "gb18030"},
		{name: "GBK as utf-8", body: gb(t, text), declared: "utf-8", text: text, charset: "gb18030", wrong: true, guess: "gb18030"},
		{name: "GBK as Latin", body: gb(t, text), declared: "iso-8859-1", text: text, charset: "gb18030", wrong: true, guess: "gb18030"},
		{name: "Latin", body: "caf\xe9 d'\xe9t\xe9", declared: "iso-8859-1", text: "café d'été", charset: "windows-1252"},
		{name: "UTF-8 as GBK", body: text, declared: "gbk", text: text, charset: "utf-8", wrong: true, guess: "utf-8"},
		{name: "UTF-8 as Latin", body: text, declared: "iso-8859-1", text: text, charset: "utf-8", wrong: true, guess: "utf-8"},
		{name: "Big5", body: "\xa4\xa4\xa4\xe5", declared: "big5", text: "中文", charset: "big5"},
		{name: "one damaged character", body: strings.Repeat(text, 9) + "\xff" + text, declared: "utf-8", text: strings.Repeat(text, 9) + "\uFFFD" + text, charset: "utf-8"},
		{name: "cut inside a character", body: text[:5], declared: "utf-8", cut: true, text: "社", charset: "utf-8"},
		{name: "a label that nobody knows", body: gb(t, text), declared: "x-none", text: text, charset: "gb18030"},
		{name: "noise as GBK", body: strings.Repeat("\xff\xfd\xff", 30), declared: "gbk", charset: "gb18030", wrong: true, text: strings.Repeat("\uFFFD", 90)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := decodeText([]byte(tt.body), tt.declared, tt.cut)
			require.Equal(t, tt.text, d.text)
			require.Equal(t, tt.charset, d.charset)
			require.Equal(t, tt.wrong, d.wrong)
			require.Equal(t, tt.guess, d.guess)
		})
	}
}

func TestDeclaredCharset(t *testing.T) {
	for _, tt := range []struct {
		name, contentType, body string
		html                    bool
		want                    string
	}{
		{"header", "text/html; charset=GBK", `<meta charset="utf-8">`, true, "GBK"},
		{"meta", "text/html", `<html><head><meta charset="gb2312">`, true, "gb2312"},
		{"meta http-equiv", "text/html", `<META http-equiv=Content-Type content="text/html; charset=gbk">`, true, "gbk"},
		{"meta beyond the prescan", "text/html", strings.Repeat(" ", 1024) + `<meta charset="gb2312">`, true, ""},
		{"meta in something else", "application/json", `<meta charset="gb2312">`, false, ""},
		{"XML", "text/xml", `<?xml version="1.0" encoding="GBK"?>`, false, "GBK"},
		{"broken header", "text/html; charset", `<meta charset=gbk>`, true, "gbk"},
		{"none", "", "", false, ""},
	} {
		require.Equal(t, tt.want, declaredCharset(tt.contentType, []byte(tt.body), tt.html), tt.name)
	}
}

func TestReadHTML(t *testing.T) {
	for _, tt := range []struct{ name, document, title, text string }{
		{"title and blocks", "<title> 公共\n服务 </title><h1>个人</h1><p>办 <b>事</b></p>", "公共 服务", "个人\n办 事"},
		{"the first title only", "<title>一</title><svg><title>二</title></svg><title>三</title>", "一", ""},
		{"scripts and styles", "<script>var a='<p>x</p>'</script><style>p{}</style><noscript>开启</noscript><p>见", "", "见"},
		{"hidden", "<div hidden>a<div>b</div></div><div style='DISPLAY : none'>c</div>d<p style='visibility:hidden'>e</p>", "", "d"},
		{"entities", "<p>&lt;社保&gt;&nbsp;卡", "", "<社保> 卡"},
		{"no end", "<title>无", "无", ""},
		{"end tags without beginnings", "</div></title></script>文", "", "文"},
		{"comments", "<!-- 系统维护中 -->文", "", "文"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			title, text := readHTML(tt.document, true)
			require.Equal(t, tt.title, title)
			require.Equal(t, tt.text, text)
		})
	}
	_, text := readHTML(strings.Repeat("<div>", 200_000)+strings.Repeat("文字 ", 100_000), true)
	require.LessOrEqual(t, len(text), maxText)
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("<title>系统</title><p>见"), "gbk", true)
	f.Add([]byte("\xff\xfe\x00\xd8"), "utf-8", false)
	f.Add([]byte("<div hidden><script>"), "", true)
	f.Fuzz(func(t *testing.T, body []byte, declared string, cut bool) {
		d := decodeText(body, declared, cut)
		require.True(t, utf8.ValidString(d.text))
		title, text := readHTML(d.text, true)
		require.True(t, utf8.ValidString(title) && utf8.ValidString(text))
		require.LessOrEqual(t, len(title), maxTitle)
		require.LessOrEqual(t, len(text), maxText)
	})
}
