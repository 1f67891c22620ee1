package icmpprobe

import (
	"cmp"
	"net/url"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/reach"
)

// The bounds of a definition.
const (
	defaultCount    = 4
	maxCount        = 20
	defaultInterval = 200 * time.Millisecond
	minInterval     = 10 * time.Millisecond
	defaultWait     = time.Second
	defaultSize     = 56 // bytes, as ping(8) has it
	maxSize         = 1472
	allLost         = 100 // percent
)

// settings are the keys of the kind.
type settings struct {
	Target   string        `yaml:"target" doc:"the host, or an address whose host is meant"`
	IP       int           `yaml:"ip" doc:"4 or 6; default: what the name has"`
	Count    int           `yaml:"count" doc:"how many echo requests are sent; default 4"`
	Interval time.Duration `yaml:"interval" doc:"from one to the next; default 200ms"`
	Wait     time.Duration `yaml:"wait" doc:"for replies after the last; default 1s"`
	Size     int           `yaml:"size" doc:"bytes of data in each; default 56"`
	MaxLoss  *float64      `yaml:"max_loss" doc:"percent lost, beyond which the run is down; default: all must be lost"`
	WarnLoss *float64      `yaml:"warn_loss" doc:"percent lost, beyond which the run is degraded; default: none"`
	Expect   []string      `yaml:"expect"`
	Warn     []string      `yaml:"warn"`
}

func decode(s probes.Settings) (probes.Prober, error) {
	var d settings
	if err := s.Into(&d); err != nil {
		return nil, err
	}
	c := reach.Checker{Settings: s}
	p := &prober{
		host: target(&c, d.Target), count: cmp.Or(d.Count, defaultCount), interval: cmp.Or(d.Interval, defaultInterval),
		wait: cmp.Or(d.Wait, defaultWait), size: cmp.Or(d.Size, defaultSize),
		maxLoss: loss(&c, "max_loss", d.MaxLoss), warnLoss: loss(&c, "warn_loss", d.WarnLoss),
	}
	p.family = c.Family(d.IP, p.host)
	if p.count < 1 || p.count > maxCount {
		c.Mistake("count", "want 1 to %d, got %d", maxCount, p.count)
	}
	if p.size < tokenSize || p.size > maxSize {
		c.Mistake("size", "want %d to %d bytes, got %d", tokenSize, maxSize, p.size)
	}
	if p.interval < minInterval {
		c.Mistake("interval", "want %s or more, got %s", minInterval, p.interval)
	}
	if took := time.Duration(p.count-1)*p.interval + p.wait; p.wait < 0 || took >= s.Timeout() {
		c.Mistake("wait", "want all requests and the wait to fit into the timeout of %s, got %s; lower count, interval or wait", s.Timeout(), took)
	}
	if d.MaxLoss != nil && d.WarnLoss != nil && p.warnLoss >= p.maxLoss {
		c.Mistake("warn_loss", "want less than max_loss of %s, got %s", percent(p.maxLoss), percent(p.warnLoss))
	}
	p.expect, p.warn = c.Expressions("expect", d.Expect, Fields()), c.Expressions("warn", d.Warn, Fields())
	if err := c.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

func target(c *reach.Checker, s string) string {
	host := s
	if strings.Contains(s, "://") {
		if u, err := url.Parse(s); err == nil {
			host = u.Hostname()
		}
	}
	ascii, err := reach.ASCIIHost(strings.Trim(host, "[]"))
	if err != nil {
		c.Mistake("target", "want a host such as www.example.test, without a port, got %q", s)
	}
	return ascii
}

// loss is a bound in percent; without one nothing is beyond it.
func loss(c *reach.Checker, key string, bound *float64) float64 {
	switch {
	case bound == nil:
		return allLost
	case *bound < 0 || *bound >= allLost:
		c.Mistake(key, "want a percentage of 0 to less than 100, got %v", *bound)
	}
	return *bound
}
