package probetest

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/wording"
)

var (
	// words of Latin letters are foreign in a Chinese sentence …
	latin = regexp.MustCompile(`[A-Za-z_]{2,}`)
	// … but for these.
	usual = regexp.MustCompile(`HTTPS?|JSON|APP|IPv[46]|max_body|WebSocket|Ping|AIA|OCSP|TLCP`)
	// prose is English that somebody made up, not data.
	prose = regexp.MustCompile(`(?i)(^|[ (])(a|an|the|is|are|was|no|not|none|nothing|of|to|it|with|within|after|missing)([ ,;)]|$)`)
	// date is the form of an instant, which the wording must be able to read.
	date = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)
)

// quoting are the phrases whose Got is somebody else's text: an error's, a
// page's, a script's, an interface's.
var quoting = map[probes.Phrase]bool{
	probes.PhraseDNSFailed: true, probes.PhraseRefused: true, probes.PhraseUnreachable: true, probes.PhraseConnectTimeout: true,
	probes.PhraseConnectFailed: true, probes.PhraseTLSFailed: true, probes.PhraseNotTLS: true, probes.PhraseCertInvalid: true,
	probes.PhraseNoSuchHost: true, probes.PhraseReset: true, probes.PhraseClosed: true, probes.PhraseCut: true,
	probes.PhraseNotHTTP: true, probes.PhraseNetwork: true, probes.PhraseStatus: true, probes.PhraseCompressed: true,
	probes.PhraseJSONBroken: true, probes.PhraseJSONMore: true, probes.PhraseHTMLNotJSON: true, probes.PhraseBusiness: true,
	probes.PhraseBusinessMissing: true, probes.PhraseCheck: true,
	probes.PhraseElementMissing: true, probes.PhraseElementHidden: true, probes.PhraseElementShown: true,
	probes.PhraseTextMissing: true, probes.PhraseTextShown: true, probes.PhraseNoChoice: true,
	probes.PhraseScriptThrew: true, probes.PhraseScriptNo: true, probes.PhraseDialogs: true,
	probes.PhraseBlankAfterError: true, probes.PhraseScriptErrors: true, probes.PhraseResource: true,
	probes.PhraseOCSPInvalid: true, probes.PhraseTLCPMissing: true, probes.PhraseTLCPBroken: true,
	probes.PhraseMaintenance: true, probes.PhraseSoft404: true, probes.PhraseWechatOnly: true, probes.PhraseWAF: true,
	probes.PhraseWAF405: true, probes.PhraseCaptcha: true, probes.PhraseScriptCheck: true,
	probes.PhrasePanicked: true, probes.PhraseStopped: true, probes.PhraseNoSecret: true, probes.PhraseNoBrowser: true,
	probes.PhraseBrowser: true, probes.PhraseCouldNotLook: true, probes.PhraseProxyRefused: true, probes.PhraseNotFound: true,
	probes.PhraseSchema: true, probes.PhraseFamilies: true, probes.PhraseNoIPv6: true, probes.PhraseProxy: true,
	probes.PhraseDNSBroken: true, probes.PhraseNotWebSocket: true, probes.PhraseSocketClosed: true, probes.PhraseNoPing: true,
}

// Readable checks that every finding of a result is made of a phrase and data,
// so that it reads in Chinese as well as in English.
func Readable(t testing.TB, r probes.Result) {
	t.Helper()
	for _, f := range r.Findings {
		readable(t, f)
	}
}

func readable(t testing.TB, f probes.Finding) {
	t.Helper()
	if !f.Phrase.Known() || f.Phrase == "" {
		require.Fail(t, "a finding without a phrase of the list", "%+v", f)
	}
	want, got := wording.Needs(f.Phrase)
	require.False(t, want && f.Want == "", "the phrase needs Want: %+v", f)
	require.False(t, got && f.Got == "", "the phrase needs Got: %+v", f)
	require.LessOrEqual(t, len(f.Want), probes.ExcerptMax, "%+v", f)
	require.LessOrEqual(t, len(f.Got), probes.ExcerptMax, "%+v", f)
	if f.Phrase != probes.PhraseCheck && f.Phrase != probes.PhraseStatus && f.Phrase != probes.PhraseTextMissing && f.Phrase != probes.PhraseTextShown && f.Phrase != probes.PhraseNotFound {
		require.NotRegexp(t, prose, f.Want, "Want is data: %+v", f)
	}
	if !quoting[f.Phrase] {
		require.NotRegexp(t, prose, f.Got, "Got is data: %+v", f)
	}

	// What is left of the sentence without its data is the wording's own.
	f.Step = ""
	for _, arg := range []*string{&f.Want, &f.Got} {
		if !date.MatchString(*arg) && *arg != "" {
			*arg = "◆"
		}
	}
	own := strings.ReplaceAll(wording.Finding(wording.ZH, f), "◆", "")
	require.NotRegexp(t, latin, usual.ReplaceAllString(own, ""), "the Chinese sentence of %+v", f)
}
