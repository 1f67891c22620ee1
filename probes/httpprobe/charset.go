package httpprobe

import (
	"bytes"
	"mime"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

// decoded is a body made UTF-8.
type decoded struct {
	text     string
	charset  string // the one used: "utf-8", "gb18030", …
	declared string
	// wrong says that the charset declared cannot be the one sent, which seems
	// to be guess, if that is not empty.
	wrong bool
	guess string
}

// tolerated is the share of broken bytes among those beyond ASCII, in percent,
// up to which a text is still of the charset: one damaged comment does not make
// a page unreadable, while text of another charset breaks nearly everywhere.
const tolerated = 10

// decodeText makes b UTF-8: a byte-order mark decides, then validity as UTF-8,
// then what was declared, with gb2312 and gbk read as GB18030 since they lack
// names of people and places; otherwise GB18030. cut says that b ends early.
func decodeText(b []byte, declared string, cut bool) decoded {
	d := decoded{declared: strings.ToLower(strings.TrimSpace(declared))}
	if e, name, rest := byMark(b); e != nil {
		d.charset, d.text = name, convert(e, rest)
		return d
	}
	if cut {
		b = trimPartial(b)
	}
	label := canonical(d.declared)
	valid := utf8.Valid(b)
	switch {
	case ascii(b):
		d.text, d.charset = string(b), or(label, "utf-8")
	case label == "gb18030" && valid && !chinese(b):
		// Two bytes of GBK can be valid UTF-8, too; Chinese in UTF-8 takes three.
		d.text, d.charset = convert(simplifiedchinese.GB18030, b), "gb18030"
	case valid:
		d.text, d.charset = string(b), "utf-8"
		if d.declared != "" && label != "utf-8" {
			d.wrong, d.guess = true, "utf-8"
		}
	case label == "utf-8" && brokenUTF8(b) <= tolerated:
		d.text, d.charset = strings.ToValidUTF8(string(b), "\uFFFD"), "utf-8"
	case label == "" || label == "utf-8":
		d.text, d.charset = convert(simplifiedchinese.GB18030, b), "gb18030"
		if label == "utf-8" {
			d.wrong, d.guess = true, "gb18030"
		}
	default:
		e, _ := htmlindex.Get(label)
		if label == "gb18030" {
			e = simplifiedchinese.GB18030
		}
		d.text, d.charset = convert(e, b), label
		if brokenText(d.text) > tolerated {
			d.wrong = true
		}
		if label == "windows-1252" {
			// Servers' default label, under which every byte is valid.
			if gb := convert(simplifiedchinese.GB18030, b); brokenText(gb) == 0 {
				d.text, d.charset, d.wrong, d.guess = gb, "gb18030", true, "gb18030"
			}
		}
	}
	return d
}

// canonical names a declared charset, "" for none or one that nobody knows.
func canonical(label string) string {
	e, err := htmlindex.Get(label)
	if err != nil {
		return ""
	}
	name, err := htmlindex.Name(e)
	switch {
	case err != nil:
		return ""
	case name == "gbk", name == "gb18030":
		return "gb18030"
	}
	return name
}

func or(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}

func byMark(b []byte) (e encoding.Encoding, name string, rest []byte) {
	switch {
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		return unicode.UTF8, "utf-8", b[3:]
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "utf-16le", b[2:]
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), "utf-16be", b[2:]
	}
	return nil, "", b
}

// convert never fails: what cannot be read becomes U+FFFD.
func convert(e encoding.Encoding, b []byte) string {
	out, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return strings.ToValidUTF8(string(out), "\uFFFD")
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// chinese reports whether valid UTF-8 holds a character of three bytes or more.
func chinese(b []byte) bool {
	for len(b) > 0 {
		_, n := utf8.DecodeRune(b)
		if n >= 3 {
			return true
		}
		b = b[n:]
	}
	return false
}

// brokenUTF8 is the share of bytes beyond ASCII that are no UTF-8, in percent.
func brokenUTF8(b []byte) int {
	beyond, broken := 0, 0
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r >= utf8.RuneSelf {
			beyond += n
		}
		if r == utf8.RuneError && n == 1 {
			broken++
		}
		b = b[n:]
	}
	return percent(broken, beyond)
}

// brokenText is the share of characters beyond ASCII that could not be read.
func brokenText(s string) int {
	beyond, broken := 0, 0
	for _, r := range s {
		if r >= utf8.RuneSelf {
			beyond++
		}
		if r == utf8.RuneError {
			broken++
		}
	}
	return percent(broken, beyond)
}

func percent(part, whole int) int {
	if whole == 0 {
		return 0
	}
	return part * 100 / whole
}

// trimPartial drops an incomplete UTF-8 sequence at the end of a cut body.
func trimPartial(b []byte) []byte {
	for i := 1; i <= utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

// prescan is how far browsers look for <meta charset>, in bytes.
const prescan = 1024

var (
	metaCharset = regexp.MustCompile(`(?i)<meta[^>]{0,200}?charset\s*=\s*["']?\s*([a-z0-9_:.\-]{2,40})`)
	xmlCharset  = regexp.MustCompile(`(?i)^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([a-z0-9_:.\-]{2,40})["']`)
)

// declaredCharset is what the reply says about itself: the header, then the
// document's head.
func declaredCharset(contentType string, b []byte, isHTML bool) string {
	if _, params, err := mime.ParseMediaType(contentType); err == nil && params["charset"] != "" {
		return params["charset"]
	}
	head := b[:min(len(b), prescan)]
	if m := xmlCharset.FindSubmatch(head); m != nil {
		return string(m[1])
	}
	if isHTML {
		if m := metaCharset.FindSubmatch(head); m != nil {
			return string(m[1])
		}
	}
	return ""
}
