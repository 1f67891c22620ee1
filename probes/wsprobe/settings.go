package wsprobe

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/reach"
)

// The bounds of a definition.
const (
	maxExchanges      = 20
	maxPiece          = 64 << 10 // bytes sent, or looked for, in one exchange
	defaultMaxMessage = 64 << 10
	maxMaxMessage     = 4 << 20
)

// settings are the keys of the kind.
type settings struct {
	URL        string            `yaml:"url" doc:"ws:// or wss:// address; ${secret:NAME} is expanded"`
	IP         int               `yaml:"ip" doc:"4 or 6; default: what the name has"`
	SNI        string            `yaml:"sni" doc:"the name asked for over TLS; default: the address's host"`
	Headers    map[string]string `yaml:"headers" doc:"of the handshake's request"`
	Origin     string            `yaml:"origin" doc:"the page that the socket is opened from, such as https://www.example.test"`
	Protocols  []string          `yaml:"protocols" doc:"the subprotocols offered; the peer must choose one"`
	Dialogue   []exchangeSetting `yaml:"dialogue" doc:"what is sent and waited for, in turn"`
	MaxMessage int64             `yaml:"max_message" doc:"bytes of one message; default 65536"`
	CloseCode  int               `yaml:"close_code" doc:"the code that the peer must close with, after the dialogue, when it is asked to by 1000"`
	Expect     []string          `yaml:"expect"`
	Warn       []string          `yaml:"warn"`
}

// exchangeSetting is one turn of the dialogue.
type exchangeSetting struct {
	Send   *piece        `yaml:"send" doc:"text, {hex: …} for a binary message, or {json: …}; ${secret:NAME} is expanded in text and JSON"`
	Until  *piece        `yaml:"until" doc:"the message that must come: a text in it, {hex: …}, {regexp: …}, {json: …} for members it must have, {any: true}, or {close: 1000} for the end"`
	Within time.Duration `yaml:"within" doc:"how long it may take; default: what is left of the timeout"`
}

// piece is a text, or one of several forms.
type piece struct {
	Text   string `yaml:"text" doc:"a text"`
	Hex    string `yaml:"hex" doc:"bytes in hexadecimal, such as 0d0a or \"0d 0a\""`
	Regexp string `yaml:"regexp" doc:"a regular expression (RE2) that the message must match; for until alone"`
	JSON   any    `yaml:"json" doc:"JSON to send, or the members that the message must have"`
	Any    bool   `yaml:"any" doc:"true: any message will do; for until alone"`
	Close  int    `yaml:"close" doc:"the code that the peer must close with; for until alone"`
}

// UnmarshalYAML takes the short form, a text alone, too.
func (p *piece) UnmarshalYAML(unmarshal func(any) error) error {
	var text string
	if unmarshal(&text) == nil {
		p.Text = text
		return nil
	}
	type plain piece
	return unmarshal((*plain)(p))
}

// form is the only form of p that is set; "" when none or several are.
func (p *piece) form() string {
	var out []string
	for name, set := range map[string]bool{
		"text": p.Text != "", "hex": p.Hex != "", "regexp": p.Regexp != "", "json": p.JSON != nil, "any": p.Any, "close": p.Close != 0,
	} {
		if set {
			out = append(out, name)
		}
	}
	if len(out) != 1 {
		return ""
	}
	return out[0]
}

func decode(s probes.Settings) (probes.Prober, error) {
	var d settings
	if err := s.Into(&d); err != nil {
		return nil, err
	}
	c := checker{reach.Checker{Settings: s}}
	p := &prober{
		address: d.URL, headers: map[string]string{}, protocols: d.Protocols, closeCode: d.CloseCode,
		maxMessage: cmp.Or(d.MaxMessage, defaultMaxMessage),
	}
	c.address(p)
	p.family = c.Family(d.IP, p.host)
	p.name = p.host
	if d.SNI != "" {
		name, err := reach.ASCIIHost(d.SNI)
		if err != nil || !p.secure {
			c.Mistake("sni", "want a host's name, and a wss:// address that it is for, got %q", d.SNI)
		}
		p.name = name
	}
	c.headers(p, d)
	if d.MaxMessage < 0 || d.MaxMessage > maxMaxMessage {
		c.Mistake("max_message", "want 1 to %d bytes, got %d", maxMaxMessage, d.MaxMessage)
	}
	if d.CloseCode != 0 {
		c.code("close_code", d.CloseCode)
	}
	p.dialogue = c.dialogue(d.Dialogue, p)
	p.expect, p.warn = c.Expressions("expect", d.Expect, Fields()), c.Expressions("warn", d.Warn, Fields())
	c.known(p)
	slices.Sort(p.secrets)
	p.secrets = slices.Compact(p.secrets)
	if err := c.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

type checker struct{ reach.Checker }

func (c *checker) address(p *prober) {
	p.secrets = append(p.secrets, probes.SecretNames(p.address)...)
	// Any value will do to see whether the rest of the address is well formed.
	plain, err := probes.Expand(p.address, func(string) (string, error) { return "secret", nil })
	u, errURL := url.Parse(plain)
	switch {
	case p.address == "":
		c.Mistake("url", "want the address to open, got nothing; write url: wss://www.example.test/socket")
	case err != nil || errURL != nil || u.Scheme != "ws" && u.Scheme != "wss":
		c.Mistake("url", "want an address such as wss://www.example.test/socket, got %q", p.address)
	case u.User != nil:
		c.Mistake("url", "want no user in the address; write headers: {Authorization: …}")
	default:
		p.secure = u.Scheme == "wss"
		p.host, p.port = c.Target("url", plain, "")
	}
}

func (c *checker) headers(p *prober, d settings) {
	for _, name := range slices.Sorted(maps.Keys(d.Headers)) {
		key, value := "headers."+name, d.Headers[name]
		switch lower := strings.ToLower(name); {
		case lower == "connection", lower == "upgrade", lower == "traceparent", strings.HasPrefix(lower, "sec-websocket-"):
			c.Mistake(key, "want a header of the application, got one that every handshake sets for itself; drop it")
		case !httpguts.ValidHeaderFieldName(name):
			c.Mistake(key, "want a header's name such as X-Token, got %q", name)
		case !httpguts.ValidHeaderFieldValue(value):
			c.Mistake(key, "want a value on one line, got %q", value)
		}
		p.headers[name] = value
		p.secrets = append(p.secrets, probes.SecretNames(value)...)
	}
	if d.Origin != "" {
		u, err := url.Parse(d.Origin)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" {
			c.Mistake("origin", "want a page's origin such as https://www.example.test, got %q", d.Origin)
		}
		p.headers["Origin"] = d.Origin
	}
	for i, name := range d.Protocols {
		if !httpguts.ValidHeaderFieldName(name) { // both are tokens
			c.Mistake(fmt.Sprintf("protocols[%d]", i), "want a subprotocol such as chat.v2, got %q", name)
		}
	}
}

// known makes what expectations speak of known, or says why it never will be.
func (c *checker) known(p *prober) {
	all := slices.Concat(p.expect, p.warn)
	if reach.Asks(all, "cert") && !p.secure {
		c.Mistake("expect", "want a wss:// address where cert is spoken of")
	}
	if reach.Asks(all, "text", "json") && !slices.ContainsFunc(p.dialogue, func(x exchange) bool { return x.until != nil && x.until.code == 0 }) {
		c.Mistake("expect", "want a dialogue with until where a message is spoken of; write dialogue: [{until: {any: true}}]")
	}
}

func (c *checker) dialogue(list []exchangeSetting, p *prober) []exchange {
	if len(list) > maxExchanges {
		c.Mistake("dialogue", "want at most %d exchanges, got %d", maxExchanges, len(list))
		return nil
	}
	var out []exchange
	for i, x := range list {
		key := fmt.Sprintf("dialogue[%d]", i)
		if x.Send == nil && x.Until == nil {
			c.Mistake(key, "want send, until or both, got neither")
			continue
		}
		if x.Within < 0 || x.Within > c.Timeout() {
			c.Mistake(key+".within", "want at most the probe's timeout of %s, got %s", c.Timeout(), x.Within)
		}
		e := exchange{within: x.Within}
		if x.Send != nil {
			e.says, e.json = true, x.Send.JSON != nil
			e.template, e.data = c.send(key+".send", x.Send)
			p.secrets = append(p.secrets, probes.SecretNames(e.template)...)
		}
		if x.Until != nil {
			e.until = c.until(key+".until", x.Until)
			if e.until.code != 0 && i != len(list)-1 {
				c.Mistake(key+".until", "want close in the last exchange alone")
			}
		}
		out = append(out, e)
	}
	return out
}

// send is either a text to be expanded or bytes.
func (c *checker) send(key string, p *piece) (template string, data []byte) {
	switch p.form() {
	case "text":
		template = p.Text
	case "json":
		text, err := json.Marshal(p.JSON)
		if err != nil {
			c.Mistake(key, "want what JSON can say: %v", err)
		}
		template = string(text)
	case "hex":
		data = c.hex(key, p.Hex)
	default:
		c.Mistake(key, "want a text, or one of hex and json")
	}
	if len(template) > maxPiece {
		c.Mistake(key, "want at most %d bytes, got %d", maxPiece, len(template))
	}
	return template, data
}

func (c *checker) hex(key, s string) []byte {
	data, err := hex.DecodeString(strings.NewReplacer(" ", "", ":", "").Replace(s))
	if err != nil || len(data) == 0 || len(data) > maxPiece {
		c.Mistake(key, "want up to %d bytes in hexadecimal such as 0d0a or \"0d 0a\", got %q", maxPiece, probes.Excerpt(s))
	}
	return data
}

func (c *checker) until(key string, p *piece) *pattern {
	switch p.form() {
	case "text":
		if len(probes.SecretNames(p.Text)) > 0 {
			c.Mistake(key, "want a text without secrets, which are for send alone")
		}
		return &pattern{source: p.Text, literal: []byte(p.Text)}
	case "hex":
		return &pattern{source: p.Hex, literal: c.hex(key, p.Hex)}
	case "regexp":
		re, err := regexp.Compile(p.Regexp)
		if err != nil {
			c.Mistake(key, "want a regular expression (RE2), got %q: %v", probes.Excerpt(p.Regexp), err)
		}
		return &pattern{source: p.Regexp, re: re}
	case "json":
		text, err := json.Marshal(p.JSON)
		var part any
		if err = errors.Join(err, json.Unmarshal(text, &part)); err != nil {
			c.Mistake(key, "want what JSON can say: %v", err)
		}
		return &pattern{source: string(text), json: part}
	case "close":
		c.code(key, p.Close)
		return &pattern{source: fmt.Sprint(p.Close), code: p.Close}
	case "any":
		return &pattern{source: "…"}
	}
	c.Mistake(key, "want a text, or one of hex, regexp, json, any and close")
	return &pattern{}
}

// code checks a code of closing (RFC 6455, 7.4).
func (c *checker) code(key string, n int) {
	if n < 1000 || n > 4999 || n == 1004 || n == 1006 || n == 1015 {
		c.Mistake(key, "want a code such as 1000 that a peer can close with, got %d", n)
	}
}
