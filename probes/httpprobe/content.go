package httpprobe

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gengfu/gengfu/probes"
)

// content says what a reply's content is known to be, so that tampering shows.
//
// Of "text", the default, the SHA-256 is taken over what a page shows (of other
// replies: the body), read in its charset, without the parts that ignore matches,
// with every run of white space as one space and none at either end, in UTF-8; of
// "body" over the body's bytes, decompressed. Of a page the first 64 KiB of text
// count, of a body max_body. A reply must have one of the sums; the finding of
// one that has none says which it has.
type content struct {
	SHA256 sums     `yaml:"sha256" doc:"the SHA-256 of the content in hex, or several of which one must be met" zh:"内容的 SHA-256（十六进制），可写多个，符合其一即可"`
	Of     string   `yaml:"of" doc:"text (default): what a page shows, with white space made alike; or body: its bytes" zh:"text（默认）：页面显示的文字，空白归一；body：应答体的字节"`
	Ignore []string `yaml:"ignore" doc:"regular expressions over the text: what they match may change, such as a date or a counter" zh:"正则表达式：匹配到的文字允许变化，如日期、访问量"`
}

// sums is one sum or a list.
type sums []string

// UnmarshalYAML takes a text or a list.
func (s *sums) UnmarshalYAML(unmarshal func(any) error) error {
	var one string
	if unmarshal(&one) == nil {
		*s = sums{one}
		return nil
	}
	return unmarshal((*[]string)(s))
}

// fingerprint is content, checked.
type fingerprint struct {
	sums   []string
	body   bool
	ignore []*regexp.Regexp
}

func (c *checker) content(key string, d *content) *fingerprint {
	if d == nil {
		return nil
	}
	f := &fingerprint{body: d.Of == "body"}
	if d.Of != "" && d.Of != "text" && d.Of != "body" {
		c.mistake(key+".of", "want text or body, got %q", d.Of)
	}
	if len(d.SHA256) == 0 {
		c.mistake(key, "want the sha256 of the content, got none; write sixty-four zeros between quotes, and the first run says which it is")
	}
	for i, s := range d.SHA256 {
		s = strings.ToLower(s)
		if b, err := hex.DecodeString(s); err != nil || len(b) != sha256.Size {
			c.mistake(fmt.Sprintf("%s.sha256[%d]", key, i), "want 64 hex digits, got %q", s)
		}
		f.sums = append(f.sums, s)
	}
	if f.body && len(d.Ignore) > 0 {
		c.mistake(key+".ignore", "want it with of: text, got it with body, whose bytes are all compared")
	}
	for i, s := range d.Ignore {
		re, err := regexp.Compile(s)
		if err != nil {
			c.mistake(fmt.Sprintf("%s.ignore[%d]", key, i), "want a regular expression (RE2), got %q: %v", s, err)
			continue
		}
		f.ignore = append(f.ignore, re)
	}
	return f
}

// sum is the content's SHA-256 in hex.
func (f *fingerprint) sum(body []byte, p page) string {
	if f.body {
		s := sha256.Sum256(body)
		return hex.EncodeToString(s[:])
	}
	text := p.visible
	for _, re := range f.ignore {
		text = re.ReplaceAllLiteralString(text, " ")
	}
	s := sha256.Sum256([]byte(strings.Join(strings.Fields(text), " ")))
	return hex.EncodeToString(s[:])
}

// check says whether the content is another than was registered.
func (f *fingerprint) check(body []byte, p page) *probes.Failure {
	got := f.sum(body, p)
	if slices.Contains(f.sums, got) {
		return nil
	}
	return &probes.Failure{Class: probes.ClassContent, Phrase: probes.PhraseChanged, Want: f.sums[0], Got: got}
}
