package pagerules_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/pagerules"
	"github.com/gengfu/gengfu/probes/probetest"
)

// hall is what a healthy portal page reads like, some 1800 characters long.
var hall = strings.Repeat("个人办事 法人办事 社会保险个人权益记录查询 失业登记 职称评审申报 人才引进申报 劳动人事争议仲裁申请 通知公告 政策法规 办事指南 ", 30)

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		name string
		page pagerules.Page
		rule string // empty: none
	}{
		{"healthy page", pagerules.Page{Status: 200, Title: "公共服务平台", Text: hall}, ""},
		{"healthy page with an upgrade notice among the news", pagerules.Page{Status: 200, Title: "公共服务平台", Text: hall + "系统升级公告 关于系统维护中暂停服务的公告"}, ""},
		{"short healthy page with an upgrade notice", pagerules.Page{Status: 200, Title: "养老金测算", Text: "养老金测算 年龄 月数 开始测算 系统升级公告"}, ""},
		{"news article about an upgrade", pagerules.Page{Status: 200, Title: "关于系统升级公告 - 公共服务平台", Text: hall + "系统升级公告"}, ""},
		{"long article about an upgrade under way", pagerules.Page{Status: 200, Title: "系统正在升级 - 通知公告", Text: hall + "系统正在升级"}, ""},
		{"healthy page about a road", pagerules.Page{Status: 200, Title: "国道 404 改造", Text: hall}, ""},
		{"application named maintenance that shows the expected text", pagerules.Page{Status: 200, Title: "设备管理", Text: "设备 正在维护 台账", Expected: true}, ""},
		{"empty page", pagerules.Page{Status: 200}, ""},
		{"login form with a slider", pagerules.Page{Status: 200, Title: "统一身份认证", Text: "账号 密码 拖动滑块完成验证 登录"}, ""},

		{"maintenance", pagerules.Page{Status: 200, Title: "系统维护中", Text: "系统维护中，请稍后再试"}, "maintenance"},
		{"maintenance under the site's title", pagerules.Page{Status: 200, Title: "公共服务平台", Text: "系统正在升级，请稍后再试"}, "maintenance"},
		{"maintenance by notice and apology", pagerules.Page{Status: 200, Title: "公共服务平台", Text: "因系统升级，现暂停服务，给您带来不便敬请谅解。"}, "maintenance"},
		{"maintenance notice as the page", pagerules.Page{Status: 200, Title: "系统升级公告", Text: "系统升级公告 本系统将于今晚升级"}, "maintenance"},
		{"maintenance that names the expected service", pagerules.Page{Status: 200, Title: "系统维护中", Text: "个人权益记录查询 系统维护中", Expected: true}, "maintenance"},
		{"maintenance in spread letters", pagerules.Page{Status: 200, Title: "公共服务平台", Text: "系 统 维\n护 中"}, "maintenance"},
		{"maintenance that says 503 itself", pagerules.Page{Status: 503, Title: "系统维护中", Text: "系统维护中"}, ""},

		{"soft 404", pagerules.Page{Status: 200, Title: "404", Text: "抱歉，页面走丢了"}, "soft_404"},
		{"soft 404 by its text", pagerules.Page{Status: 200, Title: "公共服务平台", Text: "您访问的页面不存在 返回首页"}, "soft_404"},
		{"soft 404 inside the portal's frame", pagerules.Page{Status: 200, Title: "页面不存在 - 公共服务平台", Text: hall + "您访问的页面不存在"}, "soft_404"},
		{"soft 404 in English", pagerules.Page{Status: 200, Title: "404 Not Found", Text: "Not Found"}, "soft_404"},
		{"true 404", pagerules.Page{Status: 404, Title: "404", Text: "页面不存在"}, ""},

		{"firewall 405", pagerules.Page{Status: 405, Title: "405", Text: "很抱歉，由于您访问的URL有可能对网站造成安全威胁，您的访问被阻断。您的请求ID是: 7b2a"}, "waf_405"},
		{"firewall 405 with a trace id", pagerules.Page{Status: 405, Text: "traceid: 0a0b"}, "waf_405"},
		{"plain 405", pagerules.Page{Status: 405, Title: "405 Not Allowed", Text: "405 Not Allowed nginx"}, ""},
		{"521 with a cookie", pagerules.Page{Status: 521, Header: http.Header{"Set-Cookie": {"a=b", "__jsluid_s=1; path=/"}}}, "jsl_521"},
		{"521 with a script", pagerules.Page{Status: 521, Source: "<script>document.cookie=('_')+('_')</script>"}, "jsl_521"},
		{"521 without either", pagerules.Page{Status: 521, Source: "web server is down"}, ""},
		{"412 with a script", pagerules.Page{Status: 412, Source: `<html><script>$_ts={}</script></html>`}, "script_412"},
		{"412 with words", pagerules.Page{Status: 412, Source: `<script></script>`, Text: hall}, ""},
		{"script that computes a token", pagerules.Page{Status: 200, Source: `<script>var arg1='';setCookie("acw_sc__v2",x)</script>`}, "script_token"},
		{"the same cookie beside a page", pagerules.Page{Status: 200, Title: "公共服务平台", Text: hall, Source: `acw_sc__v2`}, ""},
		{"slider", pagerules.Page{Status: 200, Title: "访问验证", Text: "请拖动滑块完成验证"}, "slider"},
		{"block by words", pagerules.Page{Status: 403, Title: "拦截提示", Text: "当前访问疑似黑客攻击，已被网站管理员设置为拦截"}, "waf_text"},
		{"sent to a login", pagerules.Page{Status: 200, Asked: "https://www.rsj.example/cx/qy", URL: "https://sso.rsj.example/login?service=x", Title: "统一身份认证", Text: "账号 密码 登录"}, "login"},
		{"sent to a login of the same host", pagerules.Page{Status: 200, Asked: "https://www.rsj.example/cx/qy", URL: "https://www.rsj.example/Login.aspx", Title: "用户登录", Text: "密码"}, "login"},
		{"a login was asked for", pagerules.Page{Status: 200, Asked: "https://www.rsj.example/login", URL: "https://sso.rsj.example/login", Title: "统一身份认证", Text: "账号 密码 登录"}, ""},
		{"the definition says where it leads", pagerules.Page{Status: 200, URL: "https://sso.rsj.example/login", Title: "统一身份认证", Text: "账号 密码 登录"}, ""},
		{"the expected text is on the login page", pagerules.Page{Status: 200, Asked: "https://www.rsj.example/cx/qy", URL: "https://sso.rsj.example/login", Title: "统一身份认证", Text: "账号 密码 登录", Expected: true}, ""},
		{"nobody was sent anywhere", pagerules.Page{Status: 200, Asked: "https://www.rsj.example/auth2/", URL: "https://www.rsj.example/auth2", Title: "登录", Text: "登录"}, ""},
		{"sent on to a page with a login link", pagerules.Page{Status: 200, Asked: "https://rsj.example/", URL: "https://www.rsj.example/author/", Title: "公共服务平台", Text: hall + "登录"}, ""},
		{"WeChat only", pagerules.Page{Status: 200, Title: "抱歉，出错了", Text: "请在微信客户端打开链接"}, "wechat_only"},
		{"help text about WeChat", pagerules.Page{Status: 200, Title: "常见问题", Text: hall + "请在微信客户端打开链接"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, ok := pagerules.Match(tt.page)
			require.Equal(t, tt.rule, r.Name)
			require.Equal(t, tt.rule != "", ok)
			if ok {
				_, again := pagerules.Match(tt.page, pagerules.Names()...)
				require.False(t, again, "a rule that is off")
				f := r.Finding(tt.page)
				require.Equal(t, r.Class, f.Class)
				require.Equal(t, r.Phrase, f.Phrase)
				probetest.Readable(t, probes.Result{Findings: []probes.Finding{f}})
				require.Contains(t, f.Got, strings.TrimSpace(tt.page.Title))
			}
		})
	}
}

func TestRulesAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range pagerules.Rules() {
		require.False(t, seen[r.Name], "%s is twice in the table", r.Name)
		seen[r.Name] = true
		require.NotEmpty(t, r.Doc, r.Name)
		require.True(t, r.Class.Known() && r.Class != probes.ClassNone, r.Name)
		require.True(t, r.Phrase.Known() && r.Phrase != "", r.Name)
		switch r.Class {
		case probes.ClassBlocked, probes.ClassChallenge, probes.ClassWechatOnly:
			require.Equal(t, probes.Unknown, r.Verdict, r.Name)
		default:
			require.Equal(t, probes.Down, r.Verdict, r.Name)
		}
	}
}

func TestOwnRules(t *testing.T) {
	own := pagerules.Own{Name: "割接公告", Class: probes.ClassMaintenancePage, Title: []string{"割 接"}, Text: []string{"夜间割接", "Cutover"}, Status: []int{200}, MaxText: 100}
	r := own.Rule(func(key, text string) { t.Errorf("%s: %s", key, text) })
	page := pagerules.Page{Status: 200, Title: "系统割接", Text: "今晚夜间 割接，请谅解 系统维护中"}
	got, ok := pagerules.MatchOwn(page, []pagerules.Rule{r})
	require.True(t, ok)
	require.Equal(t, "割接公告", got.Name, "own rules come first")
	require.Equal(t, probes.Down, got.Verdict)
	f := got.Finding(page)
	require.Equal(t, "割接公告", f.Want)
	probetest.Readable(t, probes.Result{Findings: []probes.Finding{f}})
	for name, other := range map[string]pagerules.Page{
		"another status": {Status: 503, Title: page.Title, Text: page.Text},
		"another title":  {Status: 200, Title: "公告", Text: "夜间割接"},
		"another text":   {Status: 200, Title: page.Title, Text: "通知"},
		"a long page":    {Status: 200, Title: page.Title, Text: hall + page.Text},
	} {
		got, _ := pagerules.MatchOwn(other, []pagerules.Rule{r})
		require.NotEqual(t, "割接公告", got.Name, name)
	}
	blocked := pagerules.Own{Name: "出口拦截", Class: probes.ClassBlocked, URL: []string{"/BLOCK"}}
	r = blocked.Rule(func(key, text string) { t.Errorf("%s: %s", key, text) })
	got, ok = pagerules.MatchOwn(pagerules.Page{Status: 200, URL: "https://gw.example/block?u=1"}, []pagerules.Rule{r})
	require.True(t, ok)
	require.Equal(t, probes.Unknown, got.Verdict, "the probe was kept out; the public may not be")
}

func TestOwnRulesThatCannotBe(t *testing.T) {
	for want, own := range map[string]pagerules.Own{
		"name: want a name":                 {Class: probes.ClassContent, Text: []string{"x"}},
		`name: "soft_404" is the name`:      {Name: "soft_404", Class: probes.ClassContent, Text: []string{"x"}},
		`class: want one of maintenance_pa`: {Name: "a", Class: "down", Text: []string{"x"}},
		": want title, text or url":         {Name: "a", Class: probes.ClassContent, Status: []int{200}},
		"text[1]: want a text":              {Name: "a", Class: probes.ClassContent, Text: []string{"x", " "}},
		"title[0]: want at most 200 bytes":  {Name: "a", Class: probes.ClassContent, Title: []string{strings.Repeat("x", 201)}},
		"url: want at most 50":              {Name: "a", Class: probes.ClassContent, URL: make([]string, 51)},
		"status[0]: want an HTTP status":    {Name: "a", Class: probes.ClassContent, Text: []string{"x"}, Status: []int{20}},
		"max_text: want 1 or more":          {Name: "a", Class: probes.ClassContent, Text: []string{"x"}, MaxText: -1},
	} {
		var mistakes []string
		own.Rule(func(key, text string) { mistakes = append(mistakes, key+": "+text) })
		require.Len(t, mistakes, 1, want)
		require.Contains(t, mistakes[0], want)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add(200, "系统维护中", hall, "<script>")
	f.Add(405, "\xff", "\xe7\xb3", "")
	f.Fuzz(func(t *testing.T, status int, title, text, source string) {
		p := pagerules.Page{Status: status, Title: title, Text: text, Source: source}
		if r, ok := pagerules.Match(p); ok {
			require.LessOrEqual(t, len(r.Finding(p).Got), probes.ExcerptMax)
		}
	})
}
