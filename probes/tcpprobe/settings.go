package tcpprobe

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/reach"
)

// The bounds of a definition.
const (
	maxExchanges   = 20
	maxPiece       = 64 << 10 // bytes sent, or looked for, in one exchange
	defaultMaxRead = 64 << 10
	maxMaxRead     = 1 << 20
)

// settings are the keys of the kind.
type settings struct {
	Target   string            `yaml:"target" doc:"host:port to connect to"`
	IP       int               `yaml:"ip" doc:"4 or 6; default: what the name has"`
	TLS      security          `yaml:"tls" doc:"true, or {sni: name} for a certificate of another name"`
	Dialogue []exchangeSetting `yaml:"dialogue" doc:"what is sent and waited for, in turn"`
	MaxRead  int               `yaml:"max_read" doc:"bytes read in one exchange; default 65536"`
	Expect   []string          `yaml:"expect"`
	Warn     []string          `yaml:"warn"`
}

// security is true, false, or a map.
type security struct {
	On  bool   `yaml:"-"`
	SNI string `yaml:"sni" doc:"the name asked for; the certificate must be for it"`
}

// UnmarshalYAML takes the short form, too.
func (s *security) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&s.On) == nil {
		return nil
	}
	s.On = true
	type plain security
	return unmarshal((*plain)(s))
}

// exchangeSetting is one turn of the dialogue.
type exchangeSetting struct {
	Send   *piece        `yaml:"send" doc:"text, or {hex: …}; ${secret:NAME} in text is expanded"`
	Until  *piece        `yaml:"until" doc:"what must come: a text, {hex: …}, {regexp: …}, or {any: true} for anything at all"`
	Within time.Duration `yaml:"within" doc:"how long it may take; default: what is left of the timeout"`
}

// piece is a text, or one of several forms.
type piece struct {
	Text   string `yaml:"text" doc:"a text, as it is" zh:"文本，原样"`
	Hex    string `yaml:"hex" doc:"bytes in hex" zh:"十六进制字节"`
	Regexp string `yaml:"regexp" doc:"a regular expression" zh:"正则表达式"`
	Any    bool   `yaml:"any" doc:"anything at all" zh:"任何内容"`
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

// forms are the forms of p that are set.
func (p *piece) forms() []string {
	var out []string
	for name, set := range map[string]bool{"text": p.Text != "", "hex": p.Hex != "", "regexp": p.Regexp != "", "any": p.Any} {
		if set {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func decode(s probes.Settings) (probes.Prober, error) {
	var d settings
	if err := s.Into(&d); err != nil {
		return nil, err
	}
	c := checker{reach.Checker{Settings: s}}
	p := &prober{tls: d.TLS.On, maxRead: cmp.Or(d.MaxRead, defaultMaxRead)}
	p.host, p.port = c.Target("target", d.Target, "")
	p.family = c.Family(d.IP, p.host)
	p.name = p.host
	if d.TLS.SNI != "" {
		name, err := reach.ASCIIHost(d.TLS.SNI)
		if err != nil {
			c.Mistake("tls.sni", "want a host's name such as db.example.test, got %q", d.TLS.SNI)
		}
		p.name = name
	}
	if d.MaxRead < 0 || d.MaxRead > maxMaxRead {
		c.Mistake("max_read", "want 1 to %d bytes, got %d", maxMaxRead, d.MaxRead)
	}
	p.expect, p.warn = c.Expressions("expect", d.Expect, Fields()), c.Expressions("warn", d.Warn, Fields())
	p.dialogue = c.dialogue(d.Dialogue)
	for _, x := range p.dialogue {
		p.secrets = append(p.secrets, probes.SecretNames(x.template)...)
	}
	slices.Sort(p.secrets)
	p.secrets = slices.Compact(p.secrets)
	c.known(p, d)
	if err := c.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

type checker struct{ reach.Checker }

// known makes what expectations speak of known, or says why it never will be.
func (c *checker) known(p *prober, d settings) {
	all := slices.Concat(p.expect, p.warn)
	if reach.Asks(all, "cert") && !p.tls {
		c.Mistake("expect", "want tls: true where cert is spoken of")
	}
	if !reach.Asks(all, spoken...) || reads(p.dialogue) {
		return
	}
	if len(d.Dialogue) > 0 {
		c.Mistake("dialogue", "want an entry with until, since the expectations speak of a reply; write until: {any: true}")
		return
	}
	// A peer that greets, such as a mail server, is heard without a word about it.
	p.dialogue = []exchange{{until: &pattern{}}}
}

func (c *checker) dialogue(list []exchangeSetting) []exchange {
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
			e.says = true
			e.template, e.data = c.send(key+".send", x.Send)
		}
		if x.Until != nil {
			e.until = c.until(key+".until", x.Until)
		}
		out = append(out, e)
	}
	return out
}

// send is either a text to be expanded or bytes.
func (c *checker) send(key string, p *piece) (template string, data []byte) {
	switch forms := p.forms(); {
	case len(forms) != 1 || forms[0] != "text" && forms[0] != "hex":
		c.Mistake(key, `want a text such as "PING\r\n", or {hex: 0d0a}`)
	case p.Hex != "":
		return "", c.hex(key, p.Hex)
	case len(p.Text) > maxPiece:
		c.Mistake(key, "want at most %d bytes, got %d", maxPiece, len(p.Text))
	}
	return p.Text, nil
}

func (c *checker) hex(key, s string) []byte {
	data, err := hex.DecodeString(strings.Map(func(r rune) rune {
		if r == ' ' || r == ':' || r == '\n' {
			return -1
		}
		return r
	}, s))
	if err != nil || len(data) == 0 || len(data) > maxPiece {
		c.Mistake(key, "want up to %d bytes in hexadecimal such as 0d0a or \"0d 0a\", got %q", maxPiece, probes.Excerpt(s))
	}
	return data
}

func (c *checker) until(key string, p *piece) *pattern {
	switch forms := p.forms(); {
	case len(forms) != 1:
		c.Mistake(key, "want a text, or one of hex, regexp and any, got %d of them", len(forms))
	case p.Regexp != "":
		re, err := regexp.Compile(p.Regexp)
		if err != nil {
			c.Mistake(key, "want a regular expression (RE2), got %q: %v", probes.Excerpt(p.Regexp), err)
			break
		}
		if re.MatchString("") {
			c.Mistake(key, "want a regular expression that does not match nothing at all, got %q", probes.Excerpt(p.Regexp))
		}
		return &pattern{source: p.Regexp, re: re}
	case p.Hex != "":
		return &pattern{source: p.Hex, literal: c.hex(key, p.Hex)}
	case len(p.Text) > maxPiece:
		c.Mistake(key, "want at most %d bytes, got %d", maxPiece, len(p.Text))
	case p.Text != "":
		if len(probes.SecretNames(p.Text)) > 0 {
			c.Mistake(key, "want a text without secrets, which are for send alone")
		}
		return &pattern{source: p.Text, literal: []byte(p.Text)}
	}
	return &pattern{}
}
