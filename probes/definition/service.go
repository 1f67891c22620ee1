package definition

import (
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// The bounds of a probe's schedule.
const (
	MinEvery   = 5 * time.Second
	MaxEvery   = 24 * time.Hour
	MinTimeout = time.Second
	maxCount   = 64 // agents for one slot
)

var (
	idPattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	labelPattern = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_.-]{0,62}$`)
)

const idWanted = "lower-case letters, digits and \"-\", at most 63, beginning with a letter or digit"

// probeKeys are the keys common to all kinds.
var probeKeys = []string{"id", "name", "kind", "every", "timeout", "from", "quorum"}

// serviceDoc is one file of services/.
type serviceDoc struct {
	ID       string   `yaml:"id" doc:"unique in the whole repository: lower-case letters, digits and -" zh:"全仓库唯一：小写字母、数字和 -"`
	Name     string   `yaml:"name" doc:"the Chinese name, as the public reads it" zh:"服务名称，与公众看到的一致"`
	Code     string   `yaml:"code" doc:"the code that documents name it by" zh:"服务编码，用于各类文档"`
	Channel  string   `yaml:"channel" doc:"the way by which the public reaches it" zh:"渠道：portal 门户，wechat 公众号 H5，app APP H5，platform 市平台接口，runtime 基础运行环境"`
	Owner    string   `yaml:"owner" doc:"the office in charge" zh:"主管单位"`
	URL      string   `yaml:"url" doc:"the address that the public opens; ${service.url} in probes" zh:"公众打开的地址；拨测里写 ${service.url}"`
	Menu     []string `yaml:"menu" doc:"the menu path, first level first" zh:"菜单路径，一级在前"`
	Life     string   `yaml:"life" doc:"draft: probed, neither alerted nor recorded; published; retired: no longer probed" zh:"阶段：draft 拨测但不告警、不入文档；published 已发布；retired 已下线、不再拨测"`
	Critical bool     `yaml:"critical" doc:"counts towards the system when an outage is graded" zh:"关键服务：故障定级时计入整个系统"`
	Target   float64  `yaml:"target" doc:"the availability objective in percent, such as 99.9" zh:"可用率目标，百分数，如 99.9"`
	Runbook  string   `yaml:"runbook" doc:"first steps for whoever is called" zh:"处置指引：值班人员的头几步"`
	Probes   []*node  `yaml:"probes" doc:"how it is checked" zh:"拨测"`
}

// probeDoc is the part of a probe common to all kinds.
type probeDoc struct {
	ID      string         `yaml:"id" doc:"unique within the service: lower-case letters, digits and -" zh:"本服务内唯一：小写字母、数字和 -"`
	Name    string         `yaml:"name" doc:"the Chinese name" zh:"拨测名称"`
	Kind    string         `yaml:"kind" doc:"how it looks" zh:"拨测方式"`
	Every   time.Duration  `yaml:"every" doc:"the interval, from 5s to 24h" zh:"拨测间隔，5s 到 24h"`
	Timeout *time.Duration `yaml:"timeout" doc:"one run ends by then; from 1s up to the interval, by default 80% of it and at most 30s" zh:"单次拨测的时限，1s 到拨测间隔；默认为间隔的八成，最多 30s"`
	From    struct {
		Count  *int              `yaml:"count" doc:"how many agents run each slot" zh:"每个时隙由几个探针执行"`
		Spread *string           `yaml:"spread" doc:"the label in whose values these agents differ" zh:"这些探针的哪个标签要各不相同"`
		Match  map[string]string `yaml:"match" doc:"labels that an agent must carry, such as network: internet" zh:"探针必须带有的标签，如 network: internet"`
	} `yaml:"from" doc:"which agents run it" zh:"由哪些探针执行"`
	Quorum *int `yaml:"quorum" doc:"how many vantages must agree before it is down; by default 2, or 1 of a single agent" zh:"多点确认：几个监测点都看到异常才算异常；默认 2，只有一个探针时为 1"`
}

// reader reads one map with checks that name keys.
type reader struct {
	c    *compiler
	file string
	n    *node
	bad  map[string]bool // keys already found wrong: one mistake a key is enough
}

func (c *compiler) read(file string, n *node, into any) *reader {
	r := &reader{c: c, file: file, n: n, bad: map[string]bool{}}
	d := &decoder{file: file}
	d.decode(n, reflect.ValueOf(into).Elem(), "")
	c.mistakes = append(c.mistakes, d.mistakes...)
	for _, m := range d.mistakes {
		key, _, _ := strings.Cut(m.Text, ": ")
		r.bad[key] = true
	}
	return r
}

// wrong notes a mistake at key unless that key is already known to be wrong.
func (r *reader) wrong(key, format string, args ...any) {
	if r.bad[key] {
		return
	}
	r.bad[key] = true
	line, col := locate(r.n, key)
	r.c.wrong(r.file, line, col, "%s: %s", key, fmt.Sprintf(format, args...))
}

// need notes that key is missing or empty.
func (r *reader) need(key, value, mend string) {
	if value == "" {
		r.wrong(key, "want a value, got nothing; %s", mend)
	}
}

// source is "file:line".
func (r *reader) source() string { return fmt.Sprintf("%s:%d", r.file, r.n.line) }

func (c *compiler) service(file string, n *node) {
	var doc serviceDoc
	r := c.read(file, n, &doc)
	if n.shape != shapeMap {
		return
	}
	r.literal()
	r.need("name", doc.Name, "write the service's Chinese name")
	r.channel(doc.Channel)
	r.life(doc.Life)
	if doc.URL != "" {
		r.address("url", doc.URL)
	}
	if n.get("target") != nil && (doc.Target <= 0 || doc.Target > 100) {
		r.wrong("target", "want a percentage above 0 and up to 100, got %v; write for example 99.9", doc.Target)
	}
	if r.id("id", doc.ID) {
		if first, twice := c.services[doc.ID]; twice {
			r.wrong("id", "%q is already the id of the service in %s; ids are unique in the whole repository: rename one", doc.ID, first)
		} else {
			c.services[doc.ID] = r.source()
		}
	}
	s := probes.Service{
		ID: doc.ID, Name: doc.Name, Code: doc.Code, Channel: probes.Channel(doc.Channel), Owner: doc.Owner,
		URL: doc.URL, Menu: doc.Menu, Life: probes.Life(doc.Life), Critical: doc.Critical, Target: doc.Target,
		Runbook: doc.Runbook, Source: r.source(),
	}
	if s.Life == "" {
		s.Life = probes.LifePublished
	}
	if len(doc.Probes) == 0 && s.Life == probes.LifePublished {
		r.wrong("probes", "want at least one probe of a published service, got none; add one, or set \"life: draft\"")
	}
	seen := map[string]bool{}
	for i, p := range doc.Probes {
		s.Probes = append(s.Probes, c.probe(file, i, p, s, seen))
	}
	c.catalog.Services = append(c.catalog.Services, s)
}

// literal refuses ${…} outside of probes.
func (r *reader) literal() {
	for _, p := range r.n.pairs {
		if p.key != "probes" && p.value.shape == shapeText && strings.Contains(p.value.text, "${") {
			r.wrong(p.key, "${…} is expanded inside probes only; write the value out")
		}
	}
}

func (r *reader) id(key, id string) bool {
	if idPattern.MatchString(id) {
		return true
	}
	if id == "" {
		r.need(key, id, "write an id of "+idWanted)
	} else {
		r.wrong(key, "want %s, got %q", idWanted, probes.Excerpt(id))
	}
	return false
}

func (r *reader) channel(got string) {
	known := channelNames()
	switch {
	case got == "":
		r.need("channel", got, "write one of "+strings.Join(known, ", "))
	case !slices.Contains(known, got):
		r.wrong("channel", "unknown channel %q; %s", probes.Excerpt(got), offer(got, known))
	}
}

func (r *reader) life(got string) {
	known := []string{string(probes.LifeDraft), string(probes.LifePublished), string(probes.LifeRetired)}
	if r.n.get("life") != nil && !slices.Contains(known, got) {
		r.wrong("life", "unknown stage %q; %s", probes.Excerpt(got), offer(got, known))
	}
}

// address checks an absolute HTTP address; secrets in it are not known here.
func (r *reader) address(key, got string) {
	u, err := url.Parse(strings.NewReplacer("${secret:", "", "}", "").Replace(got))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		r.wrong(key, "want an address that begins with http:// or https:// and names a host, got %q", probes.Excerpt(got))
	}
}

// probe compiles one probe of s.
func (c *compiler) probe(file string, i int, n *node, s probes.Service, seen map[string]bool) probes.Probe {
	if n.shape != shapeMap {
		c.wrong(file, n.line, n.col, "probes[%d]: want a map, got %s; write \"- id: …\" with the probe's keys below it", i, n.found())
		return probes.Probe{}
	}
	common, own := split(n)
	var doc probeDoc
	r := c.read(file, common, &doc)
	r.n = n
	if r.id("id", doc.ID) {
		if seen[doc.ID] {
			r.wrong("id", "%q is already the id of a probe of this service; rename one", doc.ID)
		}
		seen[doc.ID] = true
	}
	p := probes.Probe{
		Key: probes.Key{Service: s.ID, Probe: doc.ID}, Name: doc.Name, Kind: doc.Kind,
		Every: doc.Every, Source: r.source(),
	}
	r.schedule(doc, &p)
	r.placement(doc, &p)

	x := &expander{file: file, service: map[string]string{
		"service.id": s.ID, "service.name": s.Name, "service.code": s.Code, "service.url": s.URL,
	}}
	x.declare(own)
	x.tree(own)
	c.mistakes = append(c.mistakes, x.mistakes...)
	slices.Sort(x.secrets)
	p.Secrets = slices.Compact(x.secrets)
	c.kind(r, own, &p)
	return p
}

// split parts the keys common to all kinds from the kind's own. The values are
// shared with n, so that positions and expansions are the same in both.
func split(n *node) (common, own *node) {
	common = &node{shape: shapeMap, line: n.line, col: n.col}
	own = &node{shape: shapeMap, line: n.line, col: n.col}
	for _, p := range n.pairs {
		if slices.Contains(probeKeys, p.key) {
			common.pairs = append(common.pairs, p)
		} else {
			own.pairs = append(own.pairs, p)
		}
	}
	return common, own
}

func (r *reader) schedule(doc probeDoc, p *probes.Probe) {
	switch {
	case r.n.get("every") == nil:
		r.wrong("every", "want an interval, got nothing; write for example \"every: 1m\"")
	case doc.Every < MinEvery || doc.Every > MaxEvery:
		r.wrong("every", "want %s to %s, got %s", short(MinEvery), short(MaxEvery), short(doc.Every))
	case doc.Every%time.Millisecond != 0:
		r.wrong("every", "want whole milliseconds, got %s", doc.Every)
	}
	if doc.Timeout == nil {
		p.Timeout = min(30*time.Second, doc.Every*8/10)
		return
	}
	p.Timeout = *doc.Timeout
	switch {
	case p.Timeout < MinTimeout:
		r.wrong("timeout", "want %s or more, got %s", short(MinTimeout), short(p.Timeout))
	case !r.bad["every"] && p.Timeout > doc.Every:
		r.wrong("timeout", "want at most the interval (every: %s), got %s; a run must end before the next begins", short(doc.Every), short(p.Timeout))
	}
}

func (r *reader) placement(doc probeDoc, p *probes.Probe) {
	p.From = probes.Placement{Count: 2, Spread: "site", Match: doc.From.Match}
	if doc.From.Count != nil {
		p.From.Count = *doc.From.Count
	}
	if p.From.Count < 1 || p.From.Count > maxCount {
		r.wrong("from.count", "want 1 to %d agents, got %d", maxCount, p.From.Count)
	}
	if doc.From.Spread != nil {
		p.From.Spread = *doc.From.Spread
	}
	if !labelPattern.MatchString(p.From.Spread) {
		r.wrong("from.spread", "want the name of a label such as site or isp, got %q", probes.Excerpt(p.From.Spread))
	}
	for label, value := range doc.From.Match {
		if !labelPattern.MatchString(label) || value == "" {
			r.wrong("from.match."+label, "want a label with a value, such as \"network: internet\", got %q with %q", probes.Excerpt(label), probes.Excerpt(value))
		}
	}
	p.Quorum = max(1, min(2, p.From.Count))
	if doc.Quorum != nil {
		p.Quorum = *doc.Quorum
	}
	if p.Quorum < 1 || p.Quorum > maxCount {
		r.wrong("quorum", "want 1 to %d vantages that must agree, got %d", maxCount, p.Quorum)
	}
}

// kind lets the probe's kind decode its own keys.
func (c *compiler) kind(r *reader, own *node, p *probes.Probe) {
	at := slices.IndexFunc(c.kinds, func(k probes.Kind) bool { return k.Name == p.Kind })
	if at < 0 {
		var names []string
		for _, k := range c.kinds {
			names = append(names, k.Name)
		}
		slices.Sort(names)
		if p.Kind == "" {
			r.need("kind", "", "write one of "+strings.Join(names, ", "))
		} else {
			r.wrong("kind", "unknown kind %q; %s", probes.Excerpt(p.Kind), offer(p.Kind, names))
		}
		return
	}
	k := c.kinds[at]
	p.Needs = slices.Clone(k.Needs)
	prober, err := k.Decode(&settings{file: r.file, probe: r.n, own: own, timeout: p.Timeout, roots: c.roots})
	if err == nil && prober == nil {
		err = fmt.Errorf("kind %s made no prober of these settings", k.Name)
	}
	c.mistakes = append(c.mistakes, flatten(err, Mistake{File: r.file, Line: r.n.line, Column: r.n.col})...)
	p.Prober = prober
}

// short is a duration as people write it: 1m30s, 5m, 24h.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
