package wording_test

import (
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/wording"
)

func chinese(s string) bool {
	for _, r := range s {
		if unicode.Is(unicode.Han, r) {
			return true
		}
	}
	return false
}

// both checks that an id has a Chinese and an English word.
func both(t *testing.T, id string, word func(wording.Lang) string) {
	t.Helper()
	require.True(t, chinese(word(wording.ZH)) || id == "app", "%s in Chinese: %q", id, word(wording.ZH))
	require.NotEmpty(t, word(wording.EN), "%s in English", id)
	require.False(t, chinese(word(wording.EN)), "%s in English: %q", id, word(wording.EN))
}

func TestEveryIDHasItsWords(t *testing.T) {
	for _, v := range probes.Verdicts() {
		both(t, v.String(), func(l wording.Lang) string { return wording.Verdict(l, v) })
	}
	for _, c := range probes.Classes() {
		both(t, string(c), func(l wording.Lang) string { return wording.Class(l, c) })
	}
	require.Empty(t, wording.Class(wording.ZH, probes.ClassNone))
	for _, c := range probes.Channels() {
		both(t, string(c), func(l wording.Lang) string { return wording.Channel(l, c) })
	}
	for _, tr := range []probes.Trigger{probes.TriggerSlot, probes.TriggerCatchUp, probes.TriggerConfirm, probes.TriggerManual} {
		both(t, string(tr), func(l wording.Lang) string { return wording.Trigger(l, tr) })
	}
}

func TestParseLang(t *testing.T) {
	for in, want := range map[string]wording.Lang{"": wording.ZH, "zh-CN": wording.ZH, "fr": wording.ZH, "en": wording.EN, "EN-us": wording.EN} {
		require.Equal(t, want, wording.ParseLang(in), in)
	}
}

func TestDuration(t *testing.T) {
	for _, tt := range []struct {
		d      time.Duration
		zh, en string
	}{
		{0, "0毫秒", "0 ms"},
		{320 * time.Millisecond, "320毫秒", "320 ms"},
		{999*time.Millisecond + 999*time.Microsecond, "999毫秒", "999 ms"},
		{45 * time.Second, "45秒", "45s"},
		{time.Minute, "1分", "1m0s"},
		{83 * time.Second, "1分23秒", "1m23s"},
		{83 * time.Minute, "1小时23分", "1h23m0s"},
		{2 * time.Hour, "2小时0分", "2h0m0s"},
		{50 * time.Hour, "2天2小时", "50h0m0s"},
		{-45 * time.Second, "-45秒", "-45s"},
		{-320 * time.Millisecond, "-320毫秒", "-320 ms"},
	} {
		require.Equal(t, tt.zh, wording.Duration(wording.ZH, tt.d))
		require.Equal(t, tt.en, wording.Duration(wording.EN, tt.d))
	}
}

func TestPercentNeverLooksBetterThanItWas(t *testing.T) {
	for share, want := range map[float64]string{
		1: "100.00%", 0: "0.00%", 0.5: "50.00%", 0.99995: "99.99%", 0.9999: "99.99%", 0.99999999: "99.99%",
		0.999: "99.90%", 0.12345: "12.34%", 1.0 / 3: "33.33%", 0.07: "7.00%",
	} {
		require.Equal(t, want, wording.Percent(share), share)
	}
}
