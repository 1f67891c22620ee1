package wording_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/wording"
)

func TestEveryPhraseHasItsSentences(t *testing.T) {
	require.NotEmpty(t, probes.Phrases())
	for _, p := range append(probes.Phrases(), "") {
		both(t, string(p), func(l wording.Lang) string {
			return wording.Finding(l, probes.Finding{Class: probes.ClassStep, Phrase: p, Want: "W", Got: "G"})
		})
	}
}

// TestSentencesNeedTheSame holds the two languages of every phrase together:
// they use the same arguments, and what Needs says is what they need.
func TestSentencesNeedTheSame(t *testing.T) {
	const want, got = "⟨want⟩", "⟨got⟩"
	leftover := regexp.MustCompile(`[][{}]|（）|\(\)`)
	for _, p := range append(probes.Phrases(), "") {
		needWant, needGot := wording.Needs(p)
		said := map[wording.Lang][]bool{}
		for _, l := range []wording.Lang{wording.ZH, wording.EN} {
			s := wording.Finding(l, probes.Finding{Class: probes.ClassStep, Phrase: p, Want: want, Got: got})
			said[l] = []bool{regexp.MustCompile(want).MatchString(s), regexp.MustCompile(got).MatchString(s)}
			require.NotRegexp(t, leftover, s, p)

			// With no more than what it needs, the sentence is whole and its own.
			f := probes.Finding{Class: probes.ClassStep, Phrase: p}
			if needWant {
				f.Want = want
			}
			if needGot {
				f.Got = got
			}
			least := wording.Finding(l, f)
			require.NotRegexp(t, leftover, least, p)
			if p != "" {
				require.NotEqual(t, wording.Finding(l, probes.Finding{Class: f.Class, Want: f.Want, Got: f.Got}), least, p)
			}
			// Without one of them it says plainly what there is.
			if needWant {
				f.Want = ""
			}
			if needGot {
				f.Got = ""
			}
			if needWant || needGot {
				require.Equal(t, wording.Class(l, probes.ClassStep), wording.Finding(l, f), p)
			}
		}
		require.Equal(t, said[wording.ZH], said[wording.EN], "%s: the languages use different arguments", p)
		require.False(t, needWant && !said[wording.ZH][0] || needGot && !said[wording.ZH][1], p)
	}
}

func TestFinding(t *testing.T) {
	for _, tt := range []struct {
		f      probes.Finding
		zh, en string
	}{
		{probes.Finding{}, "", ""},
		{probes.Finding{Class: probes.ClassTimeout}, "访问超时", "timed out"},
		{
			probes.Finding{Class: probes.ClassStatus, Step: "redirect 2", Want: "200", Got: "500"},
			"步骤「第 2 次跳转」：返回错误状态码：应为 200；实际 500", `step "redirect 2": HTTP error status: want 200; got 500`,
		},
		{
			probes.Finding{Class: probes.ClassStatus, Phrase: "of_a_newer_agent", Got: "500"},
			"返回错误状态码；实际 500", "HTTP error status; got 500",
		},
		{
			probes.Finding{Class: probes.ClassLatency, Phrase: probes.PhraseCheck, Want: "latency < 3s", Got: "latency = 3.01s"},
			"响应缓慢：要求 latency < 3s，实际 latency = 3.01s", "slow: want latency < 3s, got latency = 3.01s",
		},
		{
			probes.Finding{Class: probes.ClassConnect, Step: "request", Phrase: probes.PhraseRefused, Want: "10.0.0.1:443", Got: "dial tcp"},
			"10.0.0.1:443 拒绝连接", "10.0.0.1:443 refused the connection",
		},
		{
			probes.Finding{Class: probes.ClassReset, Step: "open http://h.test/", Phrase: probes.PhraseReset, Want: "h.test"},
			"h.test 重置了连接", "h.test reset the connection",
		},
		{
			probes.Finding{Class: probes.ClassReset, Step: "tap text=查询", Phrase: probes.PhraseReset, Want: "h.test"},
			"步骤「点按 查询」：h.test 重置了连接", `step "tap 查询": h.test reset the connection`,
		},
		{
			probes.Finding{Class: probes.ClassStatus, Step: "open http://h.test/", Phrase: probes.PhraseStatus, Got: "500 Internal Server Error"},
			"步骤「打开 http://h.test/」：返回 HTTP 500 Internal Server Error", `step "open http://h.test/": HTTP 500 Internal Server Error`,
		},
		{
			probes.Finding{Class: probes.ClassStatus, Phrase: probes.PhraseStatus, Want: "status == 200", Got: "502 Bad Gateway"},
			"返回 HTTP 502 Bad Gateway（要求 status == 200）", "HTTP 502 Bad Gateway (want status == 200)",
		},
		{
			probes.Finding{Class: probes.ClassTLS, Step: "request", Phrase: probes.PhraseCertExpired, Want: "h.test", Got: "2026-11-20T18:30:00Z"},
			"h.test 的证书已于 2026-11-21 02:30 过期", "the certificate of h.test expired on 2026-11-21 02:30",
		},
		{
			probes.Finding{Class: probes.ClassTLS, Step: "handshake", Phrase: probes.PhraseChainMissing, Want: "Demo CA"},
			"证书链不完整：缺少签发者证书「Demo CA」，服务器没有发送，信任的根证书中也没有", "the chain is incomplete: the issuer's certificate Demo CA was not sent and is no trusted root",
		},
		{
			probes.Finding{Class: probes.ClassTLS, Step: "tlcp", Phrase: probes.PhraseTLCPSignExpired, Want: "h.test", Got: "2026-11-20T18:30:00Z"},
			"h.test 的国密签名证书已于 2026-11-21 02:30 过期", "the TLCP signing certificate of h.test expired on 2026-11-21 02:30",
		},
		{
			probes.Finding{Class: probes.ClassConnect, Step: "tlcp", Phrase: probes.PhraseRefused, Want: "10.0.0.1:443"},
			"步骤「国密握手」：10.0.0.1:443 拒绝连接", `step "TLCP handshake": 10.0.0.1:443 refused the connection`,
		},
		{
			probes.Finding{Class: probes.ClassTLS, Phrase: probes.PhraseCertExpired, Want: "h.test", Got: "yesterday"},
			"h.test 的证书已于 yesterday 过期", "the certificate of h.test expired on yesterday",
		},
		{
			probes.Finding{Class: probes.ClassTimeout, Step: "request", Phrase: probes.PhraseReplyTimeout, Want: "h.test", Got: "9.9s"},
			"9.9秒内没有收到 h.test 的应答", "no answer from h.test within 9.9 s",
		},
		{
			probes.Finding{Class: probes.ClassTimeout, Phrase: probes.PhraseReplyTimeout, Want: "h.test", Got: "1m30s"},
			"1分30秒内没有收到 h.test 的应答", "no answer from h.test within 1m30s",
		},
		{
			probes.Finding{Class: probes.ClassTimeout, Phrase: probes.PhraseConnectTimeout, Want: "h.test", Got: "ERR_TIMED_OUT"},
			"连接 h.test 超时（ERR_TIMED_OUT）", "connecting to h.test timed out (ERR_TIMED_OUT)",
		},
		{
			probes.Finding{Class: probes.ClassStep, Step: "fill #age, #months", Phrase: probes.PhraseElementMissing, Want: "#age", Got: "《养老金测算》"},
			"步骤「填写 #age, #months」：页面上没有 #age，当前页面：《养老金测算》", `step "fill #age, #months": there is no #age on the page: 《养老金测算》`,
		},
		{
			probes.Finding{Class: probes.ClassStep, Step: "tap role=button:查询", Phrase: probes.PhraseElementMissing, Want: "role=button:查询"},
			"步骤「点按 查询」：页面上没有「查询」", `step "tap 查询": there is no "查询" on the page`,
		},
		{
			probes.Finding{Class: probes.ClassScriptError, Step: "see 结果", Phrase: probes.PhraseBlankAfterError, Got: "TypeError: {want} [x] (h5:12)"},
			"页面空白：脚本出错 TypeError: {want} [x] (h5:12)", "blank page after a script error: TypeError: {want} [x] (h5:12)",
		},
	} {
		require.Equal(t, tt.zh, wording.Finding(wording.ZH, tt.f))
		require.Equal(t, tt.en, wording.Finding(wording.EN, tt.f))
	}
}

func TestStep(t *testing.T) {
	for _, op := range []probes.Op{
		probes.OpOpen, probes.OpSee, probes.OpNotSee, probes.OpTap, probes.OpFill, probes.OpSelect, probes.OpPress, probes.OpWait, probes.OpRun,
	} {
		both(t, string(op), func(l wording.Lang) string { return wording.Step(l, string(op)+" #id") })
	}
	for name, want := range map[string]string{
		"request": "请求", "redirect 3": "第 3 次跳转", "open https://h.test/a?b=c d": "打开 https://h.test/a?b=c d",
		"see text=查询": "看到 text=查询", "not_see 系统维护": "不应看到 系统维护", "tap text=查询": "点按 查询", "tap role=button:办 理": "点按 办 理",
		"fill label=姓名, #card, label=手机号": "填写 姓名, #card, 手机号", "wait .free": "等待 .free", "press Enter": "按键 Enter",
		"select #area": "选择 #area", "run a = role=x": "执行脚本 a = role=x", "": "", "dns": "dns", "resource": "resource", "opening": "opening",
		"handshake": "加密握手", "aia": "补齐证书链", "versions": "协议版本检查", "tlcp": "国密握手",
	} {
		require.Equal(t, want, wording.Step(wording.ZH, name), name)
	}
	require.Equal(t, "tap 查询", wording.Step(wording.EN, "tap text=查询"))
	require.Equal(t, "wait for .free", wording.Step(wording.EN, "wait .free"))
}

func TestAFindingNamesWhichOfSeveral(t *testing.T) {
	for step, want := range map[string]string{
		"request":                 "页面显示系统维护",
		"step 登录":                 "步骤「登录」：页面显示系统维护",
		"step 2":                  "步骤「第 2 步」：页面显示系统维护",
		"node 10.0.0.1":           "步骤「节点 10.0.0.1」：页面显示系统维护",
		"node 10.0.0.1 / step 登录": "步骤「节点 10.0.0.1 的登录」：页面显示系统维护",
		"ipv6":                    "步骤「经 IPv6」：页面显示系统维护",
		"tap text=a / b":          "页面显示系统维护",
	} {
		f := probes.Finding{Class: probes.ClassMaintenancePage, Phrase: probes.PhraseMaintenance, Step: step}
		require.Equal(t, want, wording.Finding(wording.ZH, f), step)
	}
}
