package tlsprobe

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/reach"
)

// settings are the keys of the kind.
type settings struct {
	Target     string   `yaml:"target" doc:"host, host:port or an https address" zh:"主机、主机:端口或 https 地址"`
	SNI        string   `yaml:"sni" doc:"the name asked for; default: the host of the target" zh:"请求的域名，默认为目标主机"`
	Connect    string   `yaml:"connect" doc:"a fixed address to connect to, with or without a port" zh:"固定连接的地址，可带端口"`
	ALPN       []string `yaml:"alpn" doc:"application protocols that are offered; default h2 and http/1.1" zh:"提供的应用协议，默认 h2 和 http/1.1"`
	Roots      words    `yaml:"roots" doc:"which roots are trusted; default: system" zh:"信任哪些根证书，默认 system"`
	CAFile     string   `yaml:"ca_file" doc:"a PEM file on the agent with roots to trust beside these" zh:"探针上的 PEM 文件，另外信任其中的根证书"`
	MinVersion any      `yaml:"min_version" doc:"the lowest TLS version that will do, such as 1.2" zh:"可接受的最低 TLS 版本，如 1.2"`
	Scan       bool     `yaml:"scan" doc:"also tries which old versions and weak suites are accepted" zh:"另试探是否接受旧版本和弱套件"`
	TLCP       string   `yaml:"tlcp" doc:"national cryptography (TLCP): what is expected of it" zh:"国密 TLCP：期望有、没有、只有，或不论"`
	Ignore     []string `yaml:"ignore" doc:"what is not to be found fault with" zh:"哪些问题不计"`
	Expect     []string `yaml:"expect" doc:"expressions that must hold" zh:"必须成立的表达式"`
	Warn       []string `yaml:"warn" doc:"expressions that should hold: else the probe is degraded" zh:"应当成立的表达式，不成立时判为降级"`
}

// words is a list, or one of them alone.
type words []string

// UnmarshalYAML takes a text, too.
func (w *words) UnmarshalYAML(unmarshal func(any) error) error {
	var one string
	if unmarshal(&one) == nil {
		*w = words{one}
		return nil
	}
	return unmarshal((*[]string)(w))
}

var versions = map[string]uint16{
	"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13,
}

const defaultFloor = tls.VersionTLS12

// The checks that a definition may ignore.
const (
	checkAIA        = "chain_aia"      // the chain is complete by AIA only
	checkKey        = "weak_key"       //
	checkSignature  = "weak_signature" //
	checkCipher     = "weak_cipher"    // spoken, or accepted beside the one spoken
	checkOld        = "old_versions"   // accepted below min_version
	checkOCSP       = "ocsp"           // all but revoked
	checkClientCert = "client_cert"    // asked of visitors
	checkUsage      = "tlcp_usage"     // of the two certificates
	checkUntrusted  = "untrusted"      // chains, self-signed ones included
	checkName       = "name"           //
	checkTLCPTrust  = "tlcp_untrusted" //
	maxALPN         = 8                //
	maxProtocol     = 255              // bytes of one protocol's name
	maxRoots        = 20               // entries of roots
)

var ignorable = []string{
	checkAIA, checkKey, checkSignature, checkCipher, checkOld, checkOCSP, checkClientCert, checkUsage, checkUntrusted, checkName, checkTLCPTrust,
}

func decode(s probes.Settings, now func() time.Time) (probes.Prober, error) {
	var d settings
	if err := s.Into(&d); err != nil {
		return nil, err
	}
	c := checker{reach.Checker{Settings: s}}
	p := &prober{alpn: d.ALPN, scan: d.Scan, tlcp: tlcpWish(d.TLCP), ignore: map[string]bool{}, now: now}
	c.target(d.Target, p)
	c.name(d.SNI, p)
	c.connect(d.Connect, p)
	c.protocols(p)
	p.trust = c.roots(d.Roots, d.CAFile)
	p.floor = c.floor(d.MinVersion)
	p.expect, p.warn = c.Expressions("expect", d.Expect, Fields()), c.Expressions("warn", d.Warn, Fields())
	wishes := []tlcpWish{tlcpExpected, tlcpAbsent, tlcpAny, tlcpOnly}
	if p.tlcp != tlcpUnasked && !slices.Contains(wishes, p.tlcp) {
		c.Mistake("tlcp", "want expected, absent, any or only, got %q", d.TLCP)
	}
	if p.tlcp == tlcpOnly && p.scan {
		c.Mistake("scan", "want false beside tlcp: only, which leaves standard TLS out; drop one of them")
	}
	for i, name := range d.Ignore {
		if !slices.Contains(ignorable, name) {
			c.Mistake(fmt.Sprintf("ignore[%d]", i), "want one of %s, got %q", strings.Join(ignorable, ", "), name)
		}
		p.ignore[name] = true
	}
	if p.tlcp == tlcpUnasked && reach.Asks(slices.Concat(p.expect, p.warn), "tlcp") {
		p.tlcp = tlcpAny
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

// checker collects every mistake of a definition.
type checker struct{ reach.Checker }

func (c *checker) target(s string, p *prober) {
	if scheme, _, ok := strings.Cut(s, "://"); ok && scheme != "https" {
		c.Mistake("target", "want a host or an address that begins with https://, got %q", probes.Excerpt(s))
		return
	}
	p.host, p.port = c.Target("target", s, "443")
	p.name = p.host
}

func (c *checker) name(s string, p *prober) {
	if s == "" {
		return
	}
	ascii, err := reach.ASCIIHost(s)
	if err != nil {
		c.Mistake("sni", "want a host's name such as www.example.test, got %q", s)
		return
	}
	p.name = ascii
}

func (c *checker) connect(s string, p *prober) {
	if s == "" {
		return
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		p.connect = a.Unmap()
		return
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil || a.Port() == 0 {
		c.Mistake("connect", "want an address such as 10.1.2.3 or 10.1.2.3:8443, got %q", s)
		return
	}
	p.connect, p.port = a.Addr().Unmap(), strconv.Itoa(int(a.Port()))
}

func (c *checker) protocols(p *prober) {
	if p.alpn == nil {
		p.alpn = []string{"h2", "http/1.1"}
	}
	if len(p.alpn) > maxALPN {
		c.Mistake("alpn", "want at most %d protocols, got %d", maxALPN, len(p.alpn))
	}
	for i, name := range p.alpn {
		if name == "" || len(name) > maxProtocol {
			c.Mistake(fmt.Sprintf("alpn[%d]", i), "want a protocol such as h2 or http/1.1, got %q", probes.Excerpt(name))
		}
	}
}

func (c *checker) floor(v any) uint16 {
	if v == nil {
		return defaultFloor
	}
	text := fmt.Sprint(v)
	if f, ok := v.(float64); ok {
		text = strconv.FormatFloat(f, 'f', 1, 64)
	}
	if floor, ok := versions[text]; ok {
		return floor
	}
	c.Mistake("min_version", "want 1.0, 1.1, 1.2 or 1.3, got %v", v)
	return defaultFloor
}
