package browserprobe

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/probetest"
)

func TestDecode(t *testing.T) {
	p := probetest.Decode(t, Kind, `
device: wechat-android
step_timeout: 5s
rules: [soft_404]
steps:
  - open: https://h5.rsj.example.test/q?id=${secret:ID}
  - see: 个人权益记录
  - not_see: 错误
  - fill: {"#z": "1", "#b": "2", "#a": "${secret:ID}"}
  - select: {"label=年份": "2024"}
  - tap: text=查询
  - press: Enter
  - wait: "#list .row"
  - wait: {text: 缴费明细}
  - wait: {url: /detail}
  - run: document.querySelectorAll('tr').length > 3
expect: ["lcp < 4s", "script_errors == 0", "cert.days_left > 7", "title contains '社保'"]
warn: ["latency < 800ms"]
`).(*prober)
	require.Equal(t, "wechat-android", p.device.Name)
	var names []string
	for _, s := range p.steps {
		names = append(names, s.name)
	}
	require.Equal(t, []string{
		"open https://h5.rsj.example.test/q?id=${secret:ID}", "see 个人权益记录", "not_see 错误", "fill #z, #b, #a", "select label=年份",
		"tap text=查询", "press Enter", "wait #list .row", "wait 缴费明细", "wait /detail", "run document.querySelectorAll('tr').length > 3",
	}, names)
	require.Equal(t, []probes.Action{
		{Op: probes.OpFill, Selector: "#z", Value: "1"},
		{Op: probes.OpFill, Selector: "#b", Value: "2"},
		{Op: probes.OpFill, Selector: "#a", Value: "${secret:ID}"},
	}, p.steps[3].actions, "in the order in which they were written")
	require.Len(t, p.expect, 4)
	require.Len(t, p.warn, 1)
}

func TestMistakes(t *testing.T) {
	const open = "steps:\n  - open: http://a.test/\n"
	for _, tt := range []struct{ name, yaml, want string }{
		{"no steps", "device: desktop", "steps: want at least one step"},
		{"unknown key", open + "dvice: x", "dvice"},
		{"unknown device", open + "device: nokia", `device: want one of desktop, android, ios, wechat-android, wechat-ios, app-android, app-ios, got "nokia"`},
		{"see before open", "steps: [{see: x}, {open: 'http://a.test'}]", `steps[0]: want the first step to open an address, got "see"`},
		{"unknown operation", open + "  - click: x", `steps[1]: want an operation, one of open, see, not_see, tap, fill, select, press, wait or run, got "click"`},
		{"two in one", open + "  - {see: x, tap: y}", "steps[1]: want one operation in a step, got 2"},
		{"empty text", open + "  - see: ''", "steps[1]: want a text after see, got nothing"},
		{"null text", open + "  - see:", "steps[1]: want a text after see, got nothing"},
		{"number", open + "  - see: 0012", "steps[1]: want a text after see, got 10; write it in quotes"},
		{"number to fill", open + "  - fill: {'#a': 7}", "steps[1]: want a text for #a, got 7; write it in quotes"},
		{"fill without field", open + "  - fill: x", "steps[1]: want fields with their values after fill, got x"},
		{"mapping for text", open + "  - see: {text: x}", "steps[1]: want a text after see, got 1 fields"},
		{"empty selector", open + "  - tap: 'text='", "steps[1]: want something after text=, got nothing"},
		{"key", open + "  - press: Return", `steps[1]: want a key, one character or one of Enter`},
		{"wait for what", open + "  - wait: {title: x}", `steps[1]: want one of selector, text and url after wait, got "title"`},
		{"file", "steps: [{open: 'file:///etc/passwd'}]", `steps[0]: want an address such as https://host/path, got "file:///etc/passwd"`},
		{"user in address", "steps: [{open: 'http://u:p@a.test'}]", "steps[0]: want an address without user and password"},
		{"step timeout", open + "step_timeout: 2m", "step_timeout: want 1s to the probe's timeout of 30s, got 2m0s"},
		{"expectation", open + "expect: ['lpc < 4s']", "expect[0]: column 1"},
		{"warning type", open + "warn: ['status == \"200\"']", "warn[0]: column"},
		{"rule", open + "rules: [nope]", "rules[0]: want one of"},
		{"own rule", open + "pages: [{name: 割接, class: maintenance_page}]", "pages[0]: want title, text or url"},
		{"own rule's class", open + "pages: [{name: 割接, class: down, text: [割接]}]", "pages[0].class: want one of"},
		{"rules word", open + "rules: perhaps", "rules: want off"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Kind.Decode(probetest.Settings(tt.yaml))
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err := Kind.Decode(probetest.Settings("device: nokia\nsteps: [{see: ''}, {click: x}]\nexpect: ['nope == 1']"))
	require.Error(t, err)
	for _, part := range []string{"device:", "steps[0]: want the first step", "steps[0]: want a text", "steps[1]:", "expect[0]:"} {
		require.Contains(t, err.Error(), part, "every mistake at once")
	}
	_, err = Kind.Decode(probetest.Settings("steps:\n" + strings.Repeat("  - open: http://a.test/\n", 51)))
	require.ErrorContains(t, err, "want at most 50 steps, got 51")
}

func TestStepNamesAreBounded(t *testing.T) {
	p := probetest.Decode(t, Kind, "steps:\n  - open: http://a.test/\n  - see: "+strings.Repeat("长", 300)).(*prober)
	require.Len(t, []rune(p.steps[1].name), maxName)
}

func TestDevices(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Devices() {
		require.False(t, seen[d.Name])
		seen[d.Name] = true
		require.NotEmpty(t, d.UserAgent)
		require.Equal(t, "Asia/Shanghai", d.TimeZone)
		require.Equal(t, d.Wechat, strings.Contains(d.UserAgent, "MicroMessenger"))
		if strings.Contains(d.UserAgent, "iPhone") {
			require.Nil(t, d.ClientHints, "WebKit sends none")
		} else {
			require.NotNil(t, d.ClientHints)
		}
	}
}
