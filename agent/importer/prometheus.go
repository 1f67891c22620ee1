package importer

import (
	"regexp"
	"strings"
	"time"
)

// aims reads the targets: a Prometheus configuration or a list.
func (j *job) aims() ([]aim, error) {
	t := *j.Targets
	if looksLikeYAML(t.Data) {
		root, err := readYAML(t.Name, t.Data)
		if err != nil {
			return nil, err
		}
		jobs := root.get("scrape_configs")
		if jobs == nil {
			return nil, &ReadError{t.Name, root.line, root.col, "want a Prometheus configuration with scrape_configs, or a list of targets"}
		}
		return (&prometheus{job: j, file: t.Name, global: root.get("global")}).jobs(jobs), nil
	}
	return j.listed(t)
}

var yamlKey = regexp.MustCompile(`(?m)^["']?[A-Za-z_]+["']?[ \t]*:([ \t\r]|$)`)

func looksLikeYAML(data []byte) bool { return yamlKey.Match(data) }

// listed reads "TARGET [MODULE]" lines; # begins a comment.
func (j *job) listed(t Source) ([]aim, error) {
	src, err := checkText(t.Name, t.Data)
	if err != nil {
		return nil, err
	}
	module := j.Module
	if module == "" {
		module = defaultModule
	}
	var out []aim
	for i, line := range strings.Split(src, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		words := strings.Fields(line)
		at := place{t.Name, i + 1}
		a := aim{at: at, module: module, every: scrapeEvery, everyAt: at}
		switch len(words) {
		case 0:
			continue
		case 1:
		case 2:
			a.module = words[1]
		default:
			j.left(at, "line", "want \"TARGET [MODULE]\"")
			continue
		}
		a.target = words[0]
		out = append(out, a)
		if len(out) > MaxEntries {
			break // the draft that finds no room says so
		}
	}
	if len(out) == 0 {
		return nil, &ReadError{File: t.Name, Text: "want targets, got none"}
	}
	return out, nil
}

// prometheus reads scrape jobs that go through a blackbox exporter.
type prometheus struct {
	*job
	file   string
	global *value
}

func (p *prometheus) place(v *value) place { return place{p.file, v.line} }

func (p *prometheus) jobs(list *value) []aim {
	var out []aim
	for _, v := range list.list() {
		params := v.get("params")
		path := v.get("metrics_path").scalar()
		if path != "/probe" && params.get("module") == nil {
			continue // it does not go through the exporter
		}
		out = append(out, p.scrape(v, params)...)
		if len(out) > MaxEntries {
			break
		}
	}
	return out
}

// discovery matches the ways by which Prometheus finds targets elsewhere.
var discovery = regexp.MustCompile(`_sd_configs$`)

func (p *prometheus) scrape(v, params *value) []aim {
	name := v.get("job_name").scalar()
	base := aim{job: name, module: defaultModule, every: scrapeEvery, everyAt: p.place(v)}
	if m := params.get("module").list(); len(m) > 0 {
		base.module = m[0].scalar()
	}
	base.every, base.everyAt = p.every(v, "scrape_interval", base.every, base.everyAt)
	base.timeout, _ = p.every(v, "scrape_timeout", 0, base.everyAt)
	moduleLabel := p.relabel(name, v.get("relabel_configs"))
	var out []aim
	for _, t := range params.get("target").list() {
		a := base
		a.at, a.target = p.place(t), t.scalar()
		out = append(out, a)
	}
	for _, s := range v.get("static_configs").list() {
		out = append(out, p.static(base, s, moduleLabel)...)
	}
	for _, pair := range v.pairs {
		if discovery.MatchString(pair.key) {
			p.left(place{p.file, pair.line}, "job "+name+": "+pair.key, "targets that are found elsewhere are not read; list them in a file for -targets")
		}
	}
	return out
}

// every reads a duration of the job, else the global one.
func (p *prometheus) every(v *value, key string, otherwise time.Duration, at place) (time.Duration, place) {
	for _, from := range []*value{v, p.global} {
		if t := from.get(key); !t.empty() {
			if d, ok := promDuration(t.scalar()); ok {
				return d, p.place(t)
			}
			p.left(p.place(t), key, "want a duration such as 30s")
		}
	}
	return otherwise, at
}

// relabel returns the label that chooses the module, and notes what it does not understand.
func (p *prometheus) relabel(name string, list *value) (moduleLabel string) {
	for _, r := range list.list() {
		sources := r.get("source_labels").list()
		target := r.get("target_label").scalar()
		from := ""
		if len(sources) == 1 {
			from = sources[0].scalar()
		}
		plain := r.get("regex").empty() || r.get("regex").scalar() == "(.*)" || r.get("regex").scalar() == ".*"
		switch {
		case target == "__param_module" && from != "" && plain:
			moduleLabel = from
		case target == "__address__", target == "instance" && plain, target == "__param_target" && from == "__address__" && plain:
		case target == "__param_module" || target == "__param_target" || r.get("action").scalar() == "drop" || r.get("action").scalar() == "keep":
			p.left(p.place(r), "job "+name+": relabel_configs", "rules that rewrite or choose targets are not followed; check the addresses that came of it")
		}
	}
	return moduleLabel
}

// static reads one entry of static_configs.
func (p *prometheus) static(base aim, s *value, moduleLabel string) []aim {
	labels := s.get("labels")
	if m := labels.get(moduleLabel).scalar(); moduleLabel != "" && m != "" {
		base.module = m
	}
	targets := s.get("targets").list()
	var out []aim
	for _, t := range targets {
		a := base
		a.at, a.target = p.place(t), t.scalar()
		if a.target == "" {
			p.left(a.at, "job "+base.job+": target", "want an address, got %s", t.found())
			continue
		}
		if len(targets) == 1 {
			for _, key := range []string{"name", "service", "instance"} {
				if a.name == "" {
					a.name = labels.get(key).scalar()
				}
			}
		}
		out = append(out, a)
	}
	if labels == nil {
		return out
	}
	for _, l := range labels.pairs {
		isName := len(targets) == 1 && (l.key == "name" || l.key == "service" || l.key == "instance")
		if !isName && l.key != moduleLabel {
			p.left(place{p.file, l.line}, "job "+base.job+": label "+l.key, "services carry no free labels")
		}
	}
	return out
}
