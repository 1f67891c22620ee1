// Package wording owns the words that people read for ids in code: verdicts,
// classes, channels, steps and the sentence that explains a finding, in Chinese
// and in English. Texts are keyed by id, never by an error's text.
package wording

import (
	"fmt"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// Lang is a language of the pages, documents and messages.
type Lang string

// The languages. Chinese is the default.
const (
	ZH Lang = "zh"
	EN Lang = "en"
)

// ParseLang returns EN for "en" and ZH for everything else.
func ParseLang(s string) Lang {
	if strings.HasPrefix(strings.ToLower(s), "en") {
		return EN
	}
	return ZH
}

type pair struct{ zh, en string }

func (p pair) in(l Lang) string {
	if l == EN {
		return p.en
	}
	return p.zh
}

var verdicts = map[probes.Verdict]pair{
	probes.Unknown:  {"未监控", "no data"},
	probes.Up:       {"正常", "up"},
	probes.Degraded: {"降级", "degraded"},
	probes.Down:     {"异常", "down"},
}

// Verdict is the word for a verdict.
func Verdict(l Lang, v probes.Verdict) string { return verdicts[v].in(l) }

var channels = map[probes.Channel]pair{
	probes.ChannelPortal:   {"门户", "portal"},
	probes.ChannelWechat:   {"公众号 H5", "WeChat H5"},
	probes.ChannelApp:      {"APP H5", "APP H5"},
	probes.ChannelPlatform: {"市平台接口", "municipal platform"},
	probes.ChannelRuntime:  {"基础运行环境", "runtime environment"},
}

// Channel is the word for a channel.
func Channel(l Lang, c probes.Channel) string { return channels[c].in(l) }

var classes = map[probes.Class]pair{
	probes.ClassDNS:             {"域名解析失败", "name resolution failed"},
	probes.ClassConnect:         {"连接失败", "connection failed"},
	probes.ClassTLS:             {"证书或加密握手异常", "certificate or TLS handshake failed"},
	probes.ClassTimeout:         {"访问超时", "timed out"},
	probes.ClassReset:           {"连接被中断", "connection was cut"},
	probes.ClassRedirect:        {"跳转异常", "wrong redirect"},
	probes.ClassStatus:          {"返回错误状态码", "HTTP error status"},
	probes.ClassEncoding:        {"编码不符", "wrong charset"},
	probes.ClassContent:         {"内容不符合预期", "unexpected content"},
	probes.ClassSoft404:         {"页面不存在（返回 200）", "page does not exist (HTTP 200)"},
	probes.ClassMaintenancePage: {"页面显示系统维护", "maintenance page"},
	probes.ClassBusinessCode:    {"接口返回业务错误码", "business error code"},
	probes.ClassScriptError:     {"页面脚本出错", "script error"},
	probes.ClassResource:        {"页面资源加载失败", "page resource failed"},
	probes.ClassBlankPage:       {"页面空白", "blank page"},
	probes.ClassWechatOnly:      {"仅限微信客户端打开", "only opens in WeChat"},
	probes.ClassBlocked:         {"被防火墙拦截", "blocked by a firewall"},
	probes.ClassChallenge:       {"出现验证码或人机校验", "captcha or challenge"},
	probes.ClassStep:            {"业务步骤未通过", "step failed"},
	probes.ClassLatency:         {"响应缓慢", "slow"},
	probes.ClassAgent:           {"探针自身异常", "the agent could not look"},
}

// Class is the words for a failure class; empty for none.
func Class(l Lang, c probes.Class) string { return classes[c].in(l) }

var triggers = map[probes.Trigger]pair{
	probes.TriggerSlot:    {"定时", "scheduled"},
	probes.TriggerCatchUp: {"接管补测", "took over"},
	probes.TriggerConfirm: {"复核", "confirmation"},
	probes.TriggerManual:  {"手动", "by hand"},
}

// Trigger is the word for why a run took place.
func Trigger(l Lang, t probes.Trigger) string { return triggers[t].in(l) }

// Duration is a length as people say it: 「1小时23分」, 「45秒」, 「320毫秒」.
func Duration(l Lang, d time.Duration) string {
	if d < 0 {
		return "-" + Duration(l, -d)
	}
	if l == EN {
		if d < time.Second {
			return fmt.Sprintf("%d ms", d.Milliseconds())
		}
		return d.Round(time.Second).String()
	}
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d毫秒", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%d秒", int(d/time.Second))
	case d < time.Hour:
		m, s := int(d/time.Minute), int(d%time.Minute/time.Second)
		if s == 0 {
			return fmt.Sprintf("%d分", m)
		}
		return fmt.Sprintf("%d分%d秒", m, s)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d小时%d分", int(d/time.Hour), int(d%time.Hour/time.Minute))
	default:
		return fmt.Sprintf("%d天%d小时", int(d/(24*time.Hour)), int(d%(24*time.Hour)/time.Hour))
	}
}

// Percent prints a share to two decimals, rounded down: 0.99995 is 「99.99%」,
// so that a figure never looks better than it was.
func Percent(share float64) string {
	// A tiny allowance undoes binary fractions: 0.9999 must not print 99.98.
	hundredths := int64(share*10000 + 1e-6)
	return fmt.Sprintf("%d.%02d%%", hundredths/100, hundredths%100)
}
