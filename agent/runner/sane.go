package runner

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gengfu/gengfu/probes"
)

// Bounds of a result, so that no site can fill our disks.
const (
	maxFindings = 50
	maxChecks   = 200
	maxParts    = 64
	maxMeasures = 100
	maxEvidence = 8
	maxPiece    = 4 << 20 // bytes of one piece of evidence
	maxTitle    = 200
	maxName     = 200
	maxExpr     = 500
	maxURL      = 2048
	maxRaw      = 8 << 10 // of any string before secrets are hidden in it
)

// clipped returns res with no more than may be shown, and its strings cut
// generously: hiding secrets in megabytes of hostile text would take longer than
// the run. What is cut here is far longer than what is shown in the end.
func clipped(res probes.Result) probes.Result {
	res.Findings = slices.Clone(res.Findings[:min(len(res.Findings), maxFindings)])
	for i := range res.Findings {
		f := &res.Findings[i]
		f.Step, f.Want, f.Got = clip(f.Step), clip(f.Want), clip(f.Got)
	}
	res.Checks = slices.Clone(res.Checks[:min(len(res.Checks), maxChecks)])
	for i := range res.Checks {
		res.Checks[i].Expr, res.Checks[i].Saw = clip(res.Checks[i].Expr), clip(res.Checks[i].Saw)
	}
	res.Class = probes.Class(clip(string(res.Class)))
	res.URL, res.Title, res.IP = clip(res.URL), clip(res.Title), clip(res.IP)
	res.Measures = measures(res.Measures)
	res.Parts = slices.Clone(res.Parts[:min(len(res.Parts), maxParts)])
	for i := range res.Parts {
		res.Parts[i].Name, res.Parts[i].IP = clip(res.Parts[i].Name), clip(res.Parts[i].IP)
	}
	res.Evidence = slices.Clone(res.Evidence)
	return res
}

func clip(s string) string { return s[:min(len(s), maxRaw)] }

// sane returns res, whose slices it may change, as it may be told to others:
// inside its bounds, and without contradictions. A result that contradicts itself is the prober's mistake, and
// so Unknown: neither a false "up" nor a false alarm.
func sane(res probes.Result) probes.Result {
	if fault := contradiction(res); fault != "" {
		return probes.Confess("result", probes.PhraseContradiction, "", fault)
	}
	if res.Verdict == probes.Unknown {
		res.Class = probes.ClassAgent
	}
	for i := range res.Findings {
		f := &res.Findings[i]
		if !f.Class.Known() || f.Class == probes.ClassNone {
			f.Class = res.Class
		}
		if !f.Phrase.Known() {
			f.Phrase = ""
		}
		f.Step = bounded(f.Step, maxName)
		f.Want, f.Got = probes.Excerpt(f.Want), probes.Excerpt(f.Got)
	}
	for i := range res.Parts {
		p := &res.Parts[i]
		p.Name, p.IP, p.Took = bounded(p.Name, maxName), bounded(p.IP, maxName), max(0, p.Took)
		if !p.Class.Known() {
			p.Class = probes.ClassNone
		}
	}
	for i := range res.Checks {
		c := &res.Checks[i]
		c.Expr, c.Saw = bounded(c.Expr, maxExpr), probes.Excerpt(c.Saw)
	}
	res.Title = bounded(strings.TrimSpace(res.Title), maxTitle)
	res.URL = bounded(res.URL, maxURL)
	res.IP = bounded(res.IP, maxName)
	t := &res.Timings
	for _, d := range []*int64{(*int64)(&t.DNS), (*int64)(&t.Connect), (*int64)(&t.TLS), (*int64)(&t.Request), (*int64)(&t.FirstByte), (*int64)(&t.Body), (*int64)(&t.Total)} {
		*d = max(0, *d)
	}
	return res
}

// contradiction is the verdict and the class when they do not go together, as
// data; else empty.
func contradiction(res probes.Result) string {
	switch {
	case !slices.Contains(probes.Verdicts(), res.Verdict):
	case !res.Class.Known():
	case res.Verdict == probes.Up && res.Class != probes.ClassNone:
	case (res.Verdict == probes.Down || res.Verdict == probes.Degraded) && res.Class == probes.ClassNone:
	case res.Class == probes.ClassAgent && res.Verdict != probes.Unknown:
	default:
		return ""
	}
	return fmt.Sprintf("verdict = %v, class = %q", res.Verdict, res.Class)
}

func measures(all map[string]float64) map[string]float64 {
	if all == nil {
		return nil
	}
	kept := map[string]float64{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if v := all[name]; len(kept) < maxMeasures && !math.IsNaN(v) && !math.IsInf(v, 0) {
			kept[bounded(name, maxName)] = v
		}
	}
	return kept
}

// bounded makes s valid UTF-8 of at most limit bytes, cut on a rune's edge.
func bounded(s string, limit int) string {
	if len(s) > limit {
		cut := limit
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	return strings.ToValidUTF8(s, "")
}
