package definition

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// zone is Asia/Shanghai, which has had no summer time since 1991: the offset is
// enough, and no host needs zone files.
var zone = time.FixedZone("Asia/Shanghai", 8*60*60)

const maxRounds = 24

type windowDoc struct {
	Services []string `yaml:"services" doc:"ids of services; in maintenance none means all" zh:"服务的 id；维护窗口中不写表示全部"`
	From     string   `yaml:"from" doc:"the beginning, Asia/Shanghai unless an offset is written" zh:"开始时间，北京时间（除非写明时区）"`
	To       string   `yaml:"to" doc:"the end, Asia/Shanghai unless an offset is written" zh:"结束时间，北京时间（除非写明时区）"`
	Reason   string   `yaml:"reason" doc:"why, for the record" zh:"原因，写入文档"`
}

type calendarDoc struct {
	Rounds      []string `yaml:"rounds" doc:"the times of day of the daily record, Asia/Shanghai" zh:"每日监控记录的轮次时间，北京时间"`
	Maintenance []*node  `yaml:"maintenance" doc:"approved windows: told apart from availability, not alerted" zh:"已批准的维护窗口：可用率中单列，不告警"`
}

func (c *compiler) calendar(file string, n *node) {
	var doc calendarDoc
	r := c.read(file, n, &doc)
	if len(doc.Rounds) > maxRounds {
		r.wrong("rounds", "want at most %d rounds a day, got %d", maxRounds, len(doc.Rounds))
	}
	for i, s := range doc.Rounds {
		key := fmt.Sprintf("rounds[%d]", i)
		t, err := time.Parse("15:04", s)
		if err != nil {
			r.wrong(key, "want a time such as \"09:00\", got %q", probes.Excerpt(s))
			continue
		}
		at := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
		if last := len(c.catalog.Calendar.Rounds) - 1; last >= 0 && at <= c.catalog.Calendar.Rounds[last] {
			r.wrong(key, "want rounds in order, each once, got %s after %s", s, doc.Rounds[i-1])
		}
		c.catalog.Calendar.Rounds = append(c.catalog.Calendar.Rounds, at)
	}
	for _, m := range doc.Maintenance {
		w, at := c.window(file, m)
		c.catalog.Calendar.Maintenance = append(c.catalog.Calendar.Maintenance, Maintenance{
			Services: w.Services, From: at.from, To: at.to, Reason: w.Reason, Source: at.source,
		})
	}
}

func (c *compiler) silence(file string, n *node) {
	w, at := c.window(file, n)
	if n.shape == shapeMap && len(w.Services) == 0 {
		// Silencing everything by leaving a line out would be too easy.
		r := &reader{c: c, file: file, n: n, bad: map[string]bool{}}
		r.wrong("services", "want the ids of the services to silence, got none; write for example \"services: [a, b]\"")
	}
	c.catalog.Silences = append(c.catalog.Silences, Silence{
		Services: w.Services, From: at.from, To: at.to, Reason: w.Reason, Source: at.source,
	})
}

type stretch struct {
	from, to time.Time
	source   string
}

// window reads what maintenance and silences have in common.
func (c *compiler) window(file string, n *node) (windowDoc, stretch) {
	var doc windowDoc
	r := c.read(file, n, &doc)
	at := stretch{source: r.source()}
	if n.shape != shapeMap {
		return doc, at
	}
	at.from, at.to = r.time("from", doc.From), r.time("to", doc.To)
	if !at.from.IsZero() && !at.to.IsZero() && !at.to.After(at.from) {
		r.wrong("to", "want a time after from (%s), got %s", doc.From, doc.To)
	}
	r.need("reason", doc.Reason, "say why, for the record")
	for i, id := range doc.Services {
		key := fmt.Sprintf("services[%d]", i)
		line, col := locate(n, key)
		c.refs = append(c.refs, reference{id: id, file: file, line: line, col: col, path: key})
	}
	return doc, at
}

// time reads an instant; without an offset it is in Asia/Shanghai. It returns UTC.
func (r *reader) time(key, s string) time.Time {
	if s == "" {
		r.need(key, s, "write a time such as \"2026-11-25 08:00\"")
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04", "2006-01-02 15:04:05"} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t.UTC()
		}
	}
	r.wrong(key, "want a time such as \"2026-11-25 08:00\" (Asia/Shanghai) or \"2026-11-25T08:00:00+08:00\", got %q", probes.Excerpt(s))
	return time.Time{}
}

type routesDoc struct {
	Routes []*node `yaml:"routes" doc:"where alerts go" zh:"告警发往哪里"`
}

type routeDoc struct {
	Name     string   `yaml:"name" doc:"the route names itself in logs and on pages" zh:"名称，见于日志和页面"`
	Channel  string   `yaml:"channel" doc:"how alerts are sent" zh:"发送方式"`
	URL      string   `yaml:"url" doc:"the address that takes the alerts; may hold ${secret:NAME}" zh:"接收告警的地址；可含 ${secret:名称}"`
	Secret   string   `yaml:"secret" doc:"signs the body, such as ${secret:NAME}" zh:"签名密钥，如 ${secret:名称}"`
	Channels []string `yaml:"channels" doc:"of which services; none means all" zh:"哪些渠道的服务；不写表示全部"`
}

// alertChannels are the ways by which an alert can go out.
var alertChannels = []string{"webhook"}

func (c *compiler) routes(file string, n *node) {
	var doc routesDoc
	c.read(file, n, &doc)
	seen := map[string]bool{}
	for _, item := range doc.Routes {
		var d routeDoc
		r := c.read(file, item, &d)
		if item.shape != shapeMap {
			continue
		}
		r.need("name", d.Name, "name the route, for example \"duty\"")
		if seen[d.Name] {
			r.wrong("name", "%q is already the name of a route; rename one", probes.Excerpt(d.Name))
		}
		seen[d.Name] = d.Name != ""
		if !slices.Contains(alertChannels, d.Channel) {
			r.wrong("channel", "want %s, got %q", strings.Join(alertChannels, " or "), probes.Excerpt(d.Channel))
		}
		if d.URL == "" {
			r.need("url", d.URL, "write the address that takes the alerts")
		} else if !strings.HasPrefix(d.URL, "${secret:") {
			r.address("url", d.URL)
		}
		r.secretsOnly("url", "secret")
		route := Route{Name: d.Name, Channel: d.Channel, URL: d.URL, Secret: d.Secret, Source: r.source()}
		for i, ch := range d.Channels {
			if !probes.Channel(ch).Known() {
				r.wrong(fmt.Sprintf("channels[%d]", i), "unknown channel %q; %s", probes.Excerpt(ch), offer(ch, channelNames()))
			}
			route.Channels = append(route.Channels, probes.Channel(ch))
		}
		c.catalog.Routes = append(c.catalog.Routes, route)
	}
}

// secretsOnly checks ${…} in the given keys and refuses it in all others.
func (r *reader) secretsOnly(keys ...string) {
	for _, p := range r.n.pairs {
		if p.value.shape != shapeText || !strings.Contains(p.value.text, "${") {
			continue
		}
		if !slices.Contains(keys, p.key) {
			r.wrong(p.key, "${…} is not expanded here; write the value out")
			continue
		}
		x := &expander{file: r.file}
		x.tree(p.value)
		r.c.mistakes = append(r.c.mistakes, x.mistakes...)
	}
}

func channelNames() []string {
	var out []string
	for _, c := range probes.Channels() {
		out = append(out, string(c))
	}
	return out
}
