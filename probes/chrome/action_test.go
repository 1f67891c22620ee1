package chrome

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/wording"
)

const viewport = `<!doctype html><meta name=viewport content="width=device-width">`

func TestSelectors(t *testing.T) {
	s := serve(t, viewport+`
		<table><tr><td>姓　名：<td><input id=name></table>
		<label>证件 <input id=card></label> <label for=tel>手机号*</label><input id=tel>
		<input id=code placeholder="验证码"><input id=aria aria-label="备注">
		<p onclick="out.textContent='part'">查询结果说明</p><a href="#x" onclick="out.textContent='exact'">查
		询</a><input type=submit value="提 交" onclick="out.textContent='submit'">
		<button onclick="out.textContent='role'"><i>办</i><b>理</b></button><div role=button aria-label="关闭" onclick="out.textContent='aria'">×</div>
		<span style="display:none" onclick="out.textContent='hidden'">下一步</span><span onclick="out.textContent='shown'">下一步</span>
		<my-box></my-box><iframe srcdoc="<button onclick=&quot;top.out.textContent='frame'&quot;>内页按钮</button>" style="margin:30px"></iframe><p id=out></p>
		<script>customElements.define('my-box', class extends HTMLElement { connectedCallback() {
			this.attachShadow({mode: 'open'}).innerHTML = '<button id=deep>影子</button>'; this.shadowRoot.firstChild.onclick = () => { out.textContent = 'shadow' } } })</script>`)
	for _, d := range []probes.Device{phone, desk} {
		t.Run(d.Name, func(t *testing.T) {
			pg := open(t, shared, d)
			visit(t, pg, s.URL)
			for sel, want := range map[string]string{
				"text=查询": "exact", "text=提交": "submit", "role=button:办理": "role", "role=button:关闭": "aria", "role=link:查询": "exact",
				"text=下一步": "shown", "text=影子": "shadow", "#deep": "shadow", "text=内页按钮": "frame", "css=p": "part", "text=结果说明": "part",
			} {
				do(t, pg, probes.Action{Op: probes.OpTap, Selector: sel})
				o := do(t, pg, probes.Action{Op: probes.OpRun, Value: "out.textContent"})
				require.Equal(t, `"`+want+`"`, o.Result, sel)
			}
			for sel, id := range map[string]string{
				"label=姓名": "name", "label=证件": "card", "label=手机号": "tel", "label=验证码": "code", "label=备注": "aria", "role=textbox:手机号": "tel",
			} {
				value := "值 of " + sel
				do(t, pg, probes.Action{Op: probes.OpFill, Selector: sel, Value: value})
				o := do(t, pg, probes.Action{Op: probes.OpRun, Value: "document.getElementById('" + id + "').value"})
				require.Equal(t, fmt.Sprintf("%q", value), o.Result, sel)
			}
		})
	}
}

func TestActionsWait(t *testing.T) {
	s := serve(t, viewport+`<p id=out></p><div id=mask style="position:fixed;inset:0;background:#0008">载入中</div><button id=b disabled onclick="out.textContent='tapped'">确定</button>
		<script>setTimeout(() => mask.remove(), 500); setTimeout(() => { b.disabled = false }, 900); setTimeout(() => { out.innerHTML += '<i id=late>晚到</i>' }, 300)</script>`)
	pg := open(t, shared, phone)
	visit(t, pg, s.URL)
	do(t, pg, probes.Action{Op: probes.OpWait, Selector: "#late"})
	do(t, pg, probes.Action{Op: probes.OpNotSee, Value: "载入中"})
	do(t, pg, probes.Action{Op: probes.OpTap, Selector: "#b"})
	do(t, pg, probes.Action{Op: probes.OpSee, Value: "tapped"})
}

func TestPageSettlesBeforeItIsJudged(t *testing.T) {
	s := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api" {
			time.Sleep(700 * time.Millisecond) // longer than the network has to be quiet
			_, _ = io.WriteString(w, "出错了")
			return
		}
		_, _ = io.WriteString(w, viewport+`<p id=out>页</p><script>function ask() { fetch('/api').then(r => r.text()).then(s => { out.textContent += s }) }
			if (location.search) addEventListener('load', ask)</script><button onclick="ask()">问</button>`)
	})
	t.Run("open", func(t *testing.T) {
		pg := open(t, shared, desk)
		visit(t, pg, s.URL+"/?ask")
		o, err := pg.Observe(within(t, patience))
		require.NoError(t, err)
		require.Contains(t, o.Text, "出错了")
	})
	t.Run("not_see", func(t *testing.T) {
		pg := open(t, shared, desk)
		visit(t, pg, s.URL)
		do(t, pg, probes.Action{Op: probes.OpTap, Selector: "button"})
		_, err := pg.Do(within(t, patience), probes.Action{Op: probes.OpNotSee, Value: "出错", Timeout: 3 * time.Second})
		failure(t, err, probes.ClassStep)
	})
}

func TestActionFailuresSayWhy(t *testing.T) {
	s := serve(t, viewport+`<title>办事</title><p>正文在此</p><button id=off disabled>灰</button><button id=under>下</button><input id=ro readonly><div id=plain>x</div>
		<select id=s><option>甲<option>乙</select><p id=none style="display:none">藏</p><div class=mask style="position:fixed;inset:0"></div>
		<input id=eats oninput="this.value=''"><input id=box type=checkbox>
		<button id=away style="position:fixed;left:-500px;top:0">外</button><button id=runs style="position:absolute;left:0">跑</button>
		<script>setInterval(() => { runs.style.left = (parseInt(runs.style.left) + 7) % 100 + 'px' }, 5)</script>`)
	for _, tt := range []struct {
		a    probes.Action
		want string // part of the sentence
	}{
		{probes.Action{Op: probes.OpSee, Value: "没有"}, "页面上没有「没有」，当前页面：《办事》正文在此"},
		{probes.Action{Op: probes.OpSee, Selector: "#none"}, "#none 没有显示出来，当前页面：《办事》正文在此"},
		{probes.Action{Op: probes.OpSee, Selector: "#missing"}, "页面上没有 #missing，当前页面：《办事》正文在此"},
		{probes.Action{Op: probes.OpNotSee, Value: "正文"}, "页面上不应有「正文」，当前页面：《办事》正文在此"},
		{probes.Action{Op: probes.OpNotSee, Selector: "#plain"}, "页面上不应有 #plain，当前页面：《办事》正文在此"},
		{probes.Action{Op: probes.OpTap, Selector: "#missing"}, "页面上没有 #missing，当前页面：《办事》正文在此"},
		{probes.Action{Op: probes.OpTap, Selector: "#none"}, "#none 没有显示出来"},
		{probes.Action{Op: probes.OpTap, Selector: "#off"}, "#off 是灰的，不能操作"},
		{probes.Action{Op: probes.OpTap, Selector: "#under"}, "#under 被 div.mask 挡住，无法点按"},
		{probes.Action{Op: probes.OpTap, Selector: "#runs"}, "#runs 一直在移动，无法点按"},
		{probes.Action{Op: probes.OpTap, Selector: "#away"}, "#away 在屏幕之外，无法点按"},
		{probes.Action{Op: probes.OpFill, Selector: "#missing", Value: "x"}, "页面上没有 #missing"},
		{probes.Action{Op: probes.OpFill, Selector: "#ro", Value: "x"}, "#ro 是只读的，不能填写"},
		{probes.Action{Op: probes.OpFill, Selector: "#plain", Value: "x"}, "#plain 不是输入框，而是 div#plain"},
		{probes.Action{Op: probes.OpFill, Selector: "#box", Value: "x"}, "#box 是 checkbox 类型的控件，不能填写"},
		{probes.Action{Op: probes.OpFill, Selector: "#eats", Value: "x"}, "#eats 填写后仍是空的"},
		{probes.Action{Op: probes.OpSelect, Selector: "#s", Value: "丙"}, "下拉框里没有「丙」，只有：甲, 乙"},
		{probes.Action{Op: probes.OpSelect, Selector: "#s", Value: "丙", Secret: true}, "下拉框里没有「***」，只有：甲, 乙"},
		{probes.Action{Op: probes.OpSelect, Selector: "#eats", Value: "丙"}, "#eats 不是下拉框，而是 input#eats"},
		{probes.Action{Op: probes.OpSelect, Selector: "#missing", Value: "丙"}, "页面上没有 #missing"},
		{probes.Action{Op: probes.OpWait, Extra: map[string]string{"url": "/next"}}, "没有到达含 /next 的地址，停在 http://"},
		{probes.Action{Op: probes.OpRun, Value: "document.title === '别的'"}, "脚本的结果是 false"},
		{probes.Action{Op: probes.OpRun, Value: "NaN"}, "脚本的结果是 NaN"},
		{probes.Action{Op: probes.OpRun, Value: "nothing.here"}, "脚本出错：ReferenceError: nothing is not defined"},
		{probes.Action{Op: probes.OpRun, Value: "new Promise(() => {})"}, "脚本没有执行完"},
	} {
		t.Run(string(tt.a.Op)+" "+tt.want, func(t *testing.T) {
			pg := open(t, shared, desk)
			visit(t, pg, s.URL)
			tt.a.Timeout = 1500 * time.Millisecond
			_, err := pg.Do(within(t, patience), tt.a)
			require.Contains(t, wording.Finding(wording.ZH, failure(t, err, probes.ClassStep).Finding("")), tt.want)
		})
	}
	t.Run("a selector that is none", func(t *testing.T) {
		pg := open(t, shared, desk)
		visit(t, pg, s.URL)
		_, err := pg.Do(within(t, patience), probes.Action{Op: probes.OpTap, Selector: "#a[["})
		var f *probes.Failure
		require.ErrorContains(t, err, "not a valid selector")
		require.NotErrorAs(t, err, &f)
	})
}

func TestSecretsStayOutOfTexts(t *testing.T) {
	const secret = "密码 s3cret-value"
	s := serve(t, viewport+`<input id=a><p id=echo></p><script>a.oninput = () => { echo.textContent = '您好 ' + a.value; console.error(a.value); setTimeout(() => { throw new Error('bad ' + a.value) }) }</script>`)
	pg := open(t, shared, desk)
	visit(t, pg, s.URL)
	do(t, pg, probes.Action{Op: probes.OpFill, Selector: "#a", Value: secret, Secret: true})
	do(t, pg, probes.Action{Op: probes.OpSee, Value: secret, Secret: true})
	_, err := pg.Do(within(t, patience), probes.Action{Op: probes.OpSee, Value: "没有", Timeout: time.Second})
	require.NotContains(t, err.Error(), secret)
	require.Contains(t, err.Error(), probes.Masked)
	require.Contains(t, do(t, pg, probes.Action{Op: probes.OpRun, Value: "a.value"}).Result, probes.Masked)
	_, err = pg.Do(within(t, patience), probes.Action{Op: probes.OpSee, Value: secret + "x", Secret: true, Timeout: time.Second})
	require.NotContains(t, err.Error(), secret)
	o, err := pg.Observe(within(t, patience))
	require.NoError(t, err)
	require.Len(t, o.ScriptErrors, 1)
	require.NotContains(t, fmt.Sprint(o.ScriptErrors, o.Console), secret)
}

func TestFormLeadsToAnotherPage(t *testing.T) {
	s := site(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			_, _ = io.WriteString(w, viewport+`<form action=/done target=_blank><input name=q id=q><input type=date name=d id=d><select name=y id=y><option value=1>一<option value=2>二</select><button>提交</button></form>
				<a href=/link target=_blank>新窗口</a><button id=win onclick="window.open('/win')">弹窗</button>`)
		default:
			_, _ = fmt.Fprintf(w, viewport+`<p>%s %s</p>`, r.URL.Path, r.URL.RawQuery)
		}
	})
	pg := open(t, shared, phone)
	visit(t, pg, s.URL)
	do(t, pg, probes.Action{Op: probes.OpFill, Selector: "#q", Value: "old"})
	do(t, pg, probes.Action{Op: probes.OpFill, Selector: "#q", Value: "new"})
	do(t, pg, probes.Action{Op: probes.OpFill, Selector: "#d", Value: "2026-11-25"})
	do(t, pg, probes.Action{Op: probes.OpSelect, Selector: "#y", Value: "二"})
	o := do(t, pg, probes.Action{Op: probes.OpTap, Selector: "text=提交"})
	require.Equal(t, s.URL+"/done?q=new&d=2026-11-25&y=2", o.URL)
	require.Equal(t, 200, o.Status)
	do(t, pg, probes.Action{Op: probes.OpSee, Value: "/done q=new"})

	visit(t, pg, s.URL)
	do(t, pg, probes.Action{Op: probes.OpFill, Selector: "#q", Value: "by key"})
	do(t, pg, probes.Action{Op: probes.OpPress, Value: "Enter"})
	do(t, pg, probes.Action{Op: probes.OpWait, Extra: map[string]string{"url": "/done?q=by+key"}})

	visit(t, pg, s.URL)
	do(t, pg, probes.Action{Op: probes.OpTap, Selector: "text=新窗口"})
	do(t, pg, probes.Action{Op: probes.OpSee, Value: "/link"})
	visit(t, pg, s.URL)
	do(t, pg, probes.Action{Op: probes.OpTap, Selector: "#win"})
	do(t, pg, probes.Action{Op: probes.OpSee, Value: "/win"})
}

func TestTapLeadsToAPageThatFails(t *testing.T) {
	s := serve(t, viewport+`<a href="http://127.0.0.1:8009/">去</a>`)
	pg := open(t, shared, phone)
	visit(t, pg, s.URL)
	_, err := pg.Do(within(t, patience), probes.Action{Op: probes.OpTap, Selector: "a"})
	failure(t, err, probes.ClassConnect)
}

func TestTapWithoutViewport(t *testing.T) {
	// Without a viewport the phone lays the page out 980 wide and shrinks it.
	s := serve(t, `<body style="margin:0">`+strings.Repeat("<p>行</p>", 80)+`<button style="margin-left:700px" onclick="document.title='hit'">按</button>`)
	pg := open(t, shared, phone)
	visit(t, pg, s.URL)
	do(t, pg, probes.Action{Op: probes.OpTap, Selector: "button"})
	do(t, pg, probes.Action{Op: probes.OpRun, Value: "document.title === 'hit'"})
}

func TestNetErrorsAreSorted(t *testing.T) {
	for text, class := range map[string]probes.Class{
		"net::ERR_NAME_NOT_RESOLVED": probes.ClassDNS, "net::ERR_CERT_DATE_INVALID": probes.ClassTLS, "net::ERR_SSL_PROTOCOL_ERROR": probes.ClassTLS,
		"net::ERR_CONNECTION_REFUSED": probes.ClassConnect, "net::ERR_ADDRESS_UNREACHABLE": probes.ClassConnect, "net::ERR_EMPTY_RESPONSE": probes.ClassReset,
		"net::ERR_CONNECTION_TIMED_OUT": probes.ClassTimeout, "net::ERR_TOO_MANY_REDIRECTS": probes.ClassRedirect, "net::ERR_CONTENT_DECODING_FAILED": probes.ClassEncoding,
		"net::ERR_HTTP_RESPONSE_CODE_FAILURE": probes.ClassStatus,
	} {
		failure(t, netError(text, "http://a.test/", 500), class)
	}
	for text, says := range map[string]string{
		"net::ERR_NAME_NOT_RESOLVED": "域名 a.test 解析失败（ERR_NAME_NOT_RESOLVED）", "net::ERR_CONNECTION_REFUSED": "a.test 拒绝连接",
		"net::ERR_CERT_COMMON_NAME_INVALID": "a.test 的证书是发给别的名称的（ERR_CERT_COMMON_NAME_INVALID）", "net::ERR_CERT_WEAK_KEY": "a.test 的证书无效（ERR_CERT_WEAK_KEY）",
		"net::ERR_HTTP_RESPONSE_CODE_FAILURE": "步骤「打开 http://a.test/」：返回 HTTP 500 Internal Server Error", "net::ERR_UNKNOWN_URL_SCHEME": "步骤「打开 http://a.test/」：跳转到了 APP（http:），不是网页",
		"net::ERR_CONNECTION_TIMED_OUT": "连接 a.test 超时（ERR_CONNECTION_TIMED_OUT）",
	} {
		var f *probes.Failure
		require.ErrorAs(t, netError(text, "http://a.test/", 500), &f)
		require.Equal(t, says, wording.Finding(wording.ZH, f.Finding("open http://a.test/")), text)
	}
	for _, e := range netErrors {
		failure(t, netError("net::"+e.prefix, "http://a.test/", 0), e.class)
	}
	for _, text := range []string{"net::ERR_INTERNET_DISCONNECTED", "net::ERR_INSUFFICIENT_RESOURCES", "net::ERR_PROXY_CONNECTION_FAILED", "net::ERR_SOMETHING_NEW"} {
		var f *probes.Failure
		require.NotErrorAs(t, netError(text, "http://a.test/", 0), &f, "the agent's own fault")
	}
}

func TestRun(t *testing.T) {
	pg := open(t, shared, desk)
	visit(t, pg, serve(t, "<p>text</p>").URL)
	for script, want := range map[string]string{
		"1": "1", "'是 <b>'": `"是 <b>"`, "[]": "[]", "({a: [1]})": `{"a":[1]}`, "Promise.resolve(true)": "true", "10n": `"10n"`, "Infinity": `"Infinity"`,
		"document.body": "{}", "let x = 3; x": "3",
	} {
		require.Equal(t, want, do(t, pg, probes.Action{Op: probes.OpRun, Value: script}).Result, script)
	}
	for _, script := range []string{"0", "''", "null", "undefined", "NaN", "0n", "-0", "Promise.resolve(false)", "Promise.reject(1)", "document.querySelector('nav')"} {
		_, err := pg.Do(within(t, patience), probes.Action{Op: probes.OpRun, Value: script})
		failure(t, err, probes.ClassStep)
	}
	do(t, pg, probes.Action{Op: probes.OpRun, Value: "location.href = location.href + '?next'"})
	do(t, pg, probes.Action{Op: probes.OpWait, Extra: map[string]string{"url": "?next"}})
}
