package httpprobe

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emmansun/gmsm/sm3"
	"golang.org/x/net/http/httpguts"
)

// signing says how a request is signed: the text that is signed is made of a
// template whose names in braces stand for parts of the request.
type signing struct {
	Algorithm string            `yaml:"algorithm" doc:"hmac-sha256, hmac-sm3 (GB/T 32905), or the plain digests sha256 and sm3 of a text that holds {key}" zh:"hmac-sha256、hmac-sm3（GB/T 32905），或直接取摘要的 sha256、sm3（文本中含 {key}）"`
	Key       string            `yaml:"key" doc:"the key, usually ${secret:NAME}" zh:"密钥，一般写 ${secret:名称}"`
	Template  string            `yaml:"template" doc:"what is signed, of {method} {host} {path} {query} {sorted_query} {timestamp} {nonce} {body} {body_sha256} {body_sm3} {key}" zh:"被签名的文本，可用 {method} {host} {path} {query} {sorted_query} {timestamp} {nonce} {body} {body_sha256} {body_sm3} {key}"`
	Encoding  string            `yaml:"encoding" doc:"how the signature is written: hex (default), HEX or base64" zh:"签名的写法：hex（默认）、HEX 或 base64"`
	Timestamp string            `yaml:"timestamp" doc:"how {timestamp} is written: s (seconds, default), ms, rfc3339, or compact (20060102150405, Beijing time)" zh:"{timestamp} 的写法：s（秒，默认）、ms、rfc3339 或 compact（20060102150405，北京时间）"`
	Headers   map[string]string `yaml:"headers" doc:"headers that carry it, with {signature}, {timestamp} and {nonce}" zh:"放签名的请求头，可用 {signature}、{timestamp}、{nonce}"`
	Query     map[string]string `yaml:"query" doc:"parameters that carry it, with {signature}, {timestamp} and {nonce}" zh:"放签名的查询参数，可用 {signature}、{timestamp}、{nonce}"`
}

// signer is signing, checked.
type signer struct {
	hash    func() hash.Hash
	keyed   bool
	key     template
	text    template
	encode  func([]byte) string
	stamp   func(time.Time) string
	headers []line
	query   []line
}

var algorithms = map[string]struct {
	hash  func() hash.Hash
	keyed bool
}{
	"hmac-sha256": {sha256.New, true},
	"hmac-sm3":    {sm3.New, true},
	"sha256":      {sha256.New, false},
	"sm3":         {sm3.New, false},
}

var encodings = map[string]func([]byte) string{
	"hex":    hex.EncodeToString,
	"HEX":    func(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) },
	"base64": base64.StdEncoding.EncodeToString,
}

// beijing is the zone of the compact form, which says none itself.
var beijing = time.FixedZone("UTC+8", 8*60*60)

var stamps = map[string]func(time.Time) string{
	"s":       func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) },
	"ms":      func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) },
	"rfc3339": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"compact": func(t time.Time) string { return t.In(beijing).Format("20060102150405") },
}

// The names of these three, for messages and the JSON Schema.
var (
	algorithmNames = slices.Sorted(maps.Keys(algorithms))
	encodingNames  = slices.Sorted(maps.Keys(encodings))
	stampNames     = slices.Sorted(maps.Keys(stamps))
)

var (
	placeholder = regexp.MustCompile(`\{([a-z][a-z0-9_]*)\}`)
	signedParts = []string{"method", "host", "path", "query", "sorted_query", "timestamp", "nonce", "body", "body_sha256", "body_sm3", "key"}
	carriers    = []string{"signature", "timestamp", "nonce"}
)

// sign compiles the signing of a request.
func (c *checker) sign(key string, s *signing) *signer {
	if s == nil {
		return nil
	}
	out := &signer{key: c.template(key+".key", s.Key), text: c.template(key+".template", s.Template)}
	a, ok := algorithms[s.Algorithm]
	if !ok {
		c.mistake(key+".algorithm", "want one of %s, got %q", strings.Join(algorithmNames, ", "), s.Algorithm)
	}
	out.hash, out.keyed = a.hash, a.keyed
	if s.Key == "" && (out.keyed || strings.Contains(s.Template, "{key}")) {
		c.mistake(key, "want a key, got none; write key: ${secret:NAME}")
	}
	if s.Template == "" {
		c.mistake(key, "want a template of what is signed, got none; write template: \"{method}\\n{path}\\n{timestamp}\\n{nonce}\\n{body}\"")
	}
	c.placeholders(key+".template", s.Template, signedParts)
	out.encode = choose(c, key+".encoding", s.Encoding, "hex", encodings)
	out.stamp = choose(c, key+".timestamp", s.Timestamp, "s", stamps)
	signed := false
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		at := key + ".headers." + name
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(s.Headers[name]) {
			c.mistake(at, "want a header's name and a value on one line, got %q: %q", name, s.Headers[name])
		}
		c.placeholders(at, s.Headers[name], carriers)
		signed = signed || strings.Contains(s.Headers[name], "{signature}")
		out.headers = append(out.headers, line{name: http.CanonicalHeaderKey(name), value: c.template(at, s.Headers[name])})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Query)) {
		at := key + ".query." + name
		c.placeholders(at, s.Query[name], carriers)
		signed = signed || strings.Contains(s.Query[name], "{signature}")
		out.query = append(out.query, line{name: name, value: c.template(at, s.Query[name])})
	}
	if !signed {
		c.mistake(key, "want a place for the signature, got none; write headers: {X-Signature: \"{signature}\"}, or query")
	}
	return out
}

func choose[T any](c *checker, key, got, usual string, all map[string]T) T {
	if got == "" {
		got = usual
	}
	v, ok := all[got]
	if !ok {
		c.mistake(key, "want one of %s, got %q", strings.Join(slices.Sorted(maps.Keys(all)), ", "), got)
	}
	return v
}

func (c *checker) placeholders(key, s string, known []string) {
	for _, m := range placeholder.FindAllStringSubmatch(s, -1) {
		if !slices.Contains(known, m[1]) {
			c.mistake(key, "want {%s}, got {%s}", strings.Join(known, "}, {"), m[1])
		}
	}
}

// sign signs the request as it stands. The nonce are 32 hex digits.
func (s *session) sign(sg *signer, a *ask, now time.Time) error {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	carried := map[string]string{"timestamp": sg.stamp(now), "nonce": hex.EncodeToString(random)}
	key := sg.key.fill(&s.values, nil)
	text := fillPlaceholders(sg.text.fill(&s.values, nil), func(name string) string {
		switch name {
		case "method":
			return a.method
		case "host":
			return a.hostHeader()
		case "path":
			return a.url.EscapedPath()
		case "query":
			return a.url.RawQuery
		case "sorted_query":
			return sortedQuery(a.url)
		case "body":
			return string(a.body)
		case "body_sha256":
			return hex.EncodeToString(digest(sha256.New(), a.body))
		case "body_sm3":
			return hex.EncodeToString(digest(sm3.New(), a.body))
		case "key":
			return key
		}
		return carried[name]
	})
	h := sg.hash
	if sg.keyed {
		h = func() hash.Hash { return hmac.New(sg.hash, []byte(key)) }
	}
	carried["signature"] = sg.encode(digest(h(), []byte(text)))
	s.hide(carried["signature"])
	carry := func(l line) string {
		return fillPlaceholders(l.value.fill(&s.values, nil), func(name string) string { return carried[name] })
	}
	for _, l := range sg.headers {
		value := carry(l)
		if !httpguts.ValidHeaderFieldValue(value) {
			return fmt.Errorf("request.sign.headers.%s: a secret holds a line break or another control character; set it anew", l.name)
		}
		a.set(l.name, value, true)
	}
	if len(sg.query) > 0 {
		u := *a.url
		for _, l := range sg.query {
			if u.RawQuery != "" {
				u.RawQuery += "&"
			}
			u.RawQuery += url.QueryEscape(l.name) + "=" + url.QueryEscape(carry(l))
		}
		a.url, a.address = &u, u.String()
	}
	return nil
}

func digest(h hash.Hash, b []byte) []byte {
	_, _ = h.Write(b) // never fails
	return h.Sum(nil)
}

// fillPlaceholders replaces each name in braces that value knows, once: what a
// value holds is not read again.
func fillPlaceholders(s string, value func(string) string) string {
	return placeholder.ReplaceAllStringFunc(s, func(m string) string { return value(m[1 : len(m)-1]) })
}

// sortedQuery is the query with its parameters in order of their names, then
// of their values, as written.
func sortedQuery(u *url.URL) string {
	if u.RawQuery == "" {
		return ""
	}
	parts := strings.Split(u.RawQuery, "&")
	slices.Sort(parts)
	return strings.Join(parts, "&")
}
