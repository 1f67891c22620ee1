package reach

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
)

// Family is an address family: 4, 6, or Any.
type Family int

// The families.
const (
	Any Family = 0
	V4  Family = 4
	V6  Family = 6
)

// Checker collects every mistake of a definition.
type Checker struct {
	probes.Settings
	errs []error
}

// Mistake notes one at the position of key.
func (c *Checker) Mistake(key, format string, args ...any) {
	c.errs = append(c.errs, c.Errorf(key, format, args...))
}

// Err is all mistakes so far; nil for none.
func (c *Checker) Err() error { return errors.Join(c.errs...) }

// ports are those of addresses that name none.
var ports = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443"}

// Target reads "host:port", or an address such as ${service.url} gives. A port of
// "" must be in it; another is the default.
func (c *Checker) Target(key, s, port string) (host, at string) {
	example := "db.example.test:1521"
	if port != "" {
		example = "www.example.test"
	}
	if s == "" {
		c.Mistake(key, "want where to connect to, got nothing; write %s: %s", key, example)
		return "", ""
	}
	host, at = s, port
	if strings.Contains(s, "://") {
		u, err := url.Parse(s)
		if err != nil || u.Hostname() == "" {
			c.Mistake(key, "want a host with its port such as %s, got %q", example, s)
			return "", ""
		}
		host, at = u.Hostname(), ports[u.Scheme]
		if u.Port() != "" {
			at = u.Port()
		}
	} else if h, p, err := net.SplitHostPort(s); err == nil {
		host, at = h, p
	} else if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err != nil && strings.Contains(s, ":") {
		c.Mistake(key, "want a host with its port such as %s, got %q", example, s)
		return "", ""
	}
	if at == "" {
		c.Mistake(key, "want a host with its port such as %s, got no port in %q", example, s)
	} else if n, err := strconv.ParseUint(at, 10, 16); err != nil || n == 0 {
		c.Mistake(key, "want a port of 1 to 65535, got %q", at)
	}
	ascii, err := ASCIIHost(strings.Trim(host, "[]"))
	if err != nil {
		c.Mistake(key, "want a host such as www.example.test, got %q", host)
	}
	return ascii, at
}

// maxName bounds a host's name in bytes (RFC 1035).
const maxName = 253

// ASCIIHost makes a host fit for the wire: an address, or a name in ASCII.
func ASCIIHost(host string) (string, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String(), nil
	}
	host = strings.TrimSuffix(host, ".")
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil {
		// Underscores are no valid names, yet they resolve.
		ascii = strings.ToLower(host)
	}
	if ascii == "" || len(ascii) > maxName || strings.Contains(ascii, "..") || strings.ContainsFunc(ascii, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	}) {
		return "", fmt.Errorf("%q is no host", host)
	}
	return ascii, nil
}

// Family reads the key "ip", which must fit a target that is an address itself.
func (c *Checker) Family(n int, host string) Family {
	f := Family(n)
	if f != Any && f != V4 && f != V6 {
		c.Mistake("ip", "want 4 or 6, got %d; leave it out to take what the name has", n)
		return Any
	}
	if addr, err := netip.ParseAddr(host); err == nil && f != Any && addr.Is4() != (f == V4) {
		c.Mistake("ip", "want the family of %s, got %d; drop one of them", host, n)
	}
	return f
}

// Expressions compiles a list of expectations over the fields.
func (c *Checker) Expressions(key string, sources []string, fields []expect.Field) []*expect.Expr {
	var out []*expect.Expr
	for i, src := range sources {
		e, err := expect.Compile(src, fields)
		if err != nil {
			c.Mistake(fmt.Sprintf("%s[%d]", key, i), "%v", err)
			continue
		}
		out = append(out, e)
	}
	return out
}

// Asks reports whether one of the expressions speaks of one of the fields.
func Asks(exprs []*expect.Expr, fields ...string) bool {
	return slices.ContainsFunc(exprs, func(e *expect.Expr) bool {
		return slices.ContainsFunc(e.Uses(), func(u string) bool { return slices.Contains(fields, u) })
	})
}
