package expect_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
)

var fields = []expect.Field{
	{Name: "status", Doc: "HTTP status", Zero: 0},
	{Name: "latency", Doc: "what a user waited", Zero: time.Duration(0)},
	{Name: "lcp", Doc: "largest contentful paint", Zero: time.Duration(0)},
	{Name: "script_errors", Doc: "uncaught script errors", Zero: 0},
	{Name: "text", Doc: "visible text", Zero: ""},
	{Name: "json", Doc: "the decoded body"},
	{Name: "header", Doc: "a header of the reply", Zero: (func(string) string)(nil)},
	{Name: "cert", Doc: "the certificate", Zero: map[string]any{"days_left": 0.0, "issuer": ""}},
	{Name: "names", Doc: "names", Zero: []string(nil)},
}

func values(t *testing.T) map[string]any {
	t.Helper()
	var body any
	require.NoError(t, json.Unmarshal([]byte(`{"code":"0","n":0,"list":[{"id":1,"tags":["a"]},{"id":2,"tags":["b"]}],"ok":true}`), &body))
	return map[string]any{
		"status": 500, "latency": 1234567 * time.Microsecond, "lcp": 800 * time.Millisecond, "script_errors": 0,
		"text": "个人权益记录\n缴费明细 2s", "json": body,
		"header": func(name string) string { return map[string]string{"Content-Type": "application/json"}[name] },
		"cert":   map[string]any{"days_left": 13.5, "issuer": "CN"},
		"names":  []string{"a"},
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		src string
		ok  bool
		saw string
	}{
		{`status == 500`, true, `status = 500`},
		{`status == 200`, false, `status = 500`},
		{`status == 200 and latency < 2s`, false, `status = 500, latency = 1.23s`},
		{`json.code == '0'`, true, `json.code = "0"`},
		{`json.n == '0'`, false, `json.n = 0`},
		{`json.nothing == '0'`, false, `json.nothing = nil`},
		{`json.nothing.deeper == '0'`, false, `json.nothing.deeper = —`},
		{`json.list[1].id == 2`, true, `json.list[1].id = 2`},
		{`json.list[9].id == 2`, false, `json.list[9].id = —`},
		{`json.ok`, true, `json.ok = true`},
		{`json.code`, false, `json.code = "0" → bool(string)`},
		{`json.code > 3`, false, `json.code = "0" → string > int`},
		{`json?.nothing?.deeper == nil`, true, `json?.nothing?.deeper = nil`},
		{`latency < 2s`, true, `latency = 1.23s`},
		{`latency < 1s`, false, `latency = 1.23s`},
		{`latency < 1s234ms`, false, `latency = 1.23s`},
		{`latency < 1.5s`, true, `latency = 1.23s`},
		{`latency<800ms`, false, `latency = 1.23s`},
		{`lcp < 4s`, true, `lcp = 800ms`},
		{`lcp + latency > 1m30s`, false, `lcp = 800ms, latency = 1.23s`},
		{`script_errors == 0`, true, `script_errors = 0`},
		{`text contains '缴费明细'`, true, `text = "个人权益记录\n缴费明细 2s"`},
		{`text contains '明细 2s'`, true, `text = "个人权益记录\n缴费明细 2s"`},
		{`text contains "800ms"`, false, `text = "个人权益记录\n缴费明细 2s"`},
		{`not (text matches '^系统')`, true, `text = "个人权益记录\n缴费明细 2s"`},
		{`header('Content-Type') contains 'json'`, true, `header("Content-Type") = "application/json"`},
		{`header('X-None') == ''`, true, `header("X-None") = ""`},
		{`cert.days_left > 14`, false, `cert.days_left = 13.5`},
		{`len(json.list) >= 3`, false, `json.list = [{"id":1,"tags":["a"]},{"id":2,"tags":["b"]}]`},
		{`all(json.list, .id > 0)`, true, `json.list = [{"id":1,"tags":["a"]},{"id":2,"tags":["b"]}]`},
		{`any(json.list, any(.tags, # == 'b'))`, true, `json.list = [{"id":1,"tags":["a"]},{"id":2,"tags":["b"]}]`},
		{`filter(json.list, .id == 2)[0].id == 2`, true, `json.list = [{"id":1,"tags":["a"]},{"id":2,"tags":["b"]}]`},
		{`status in 200..299 || status == 500`, true, `status = 500`},
		{`len(names) == 1 // wait 2s`, true, `names = ["a"]`},
		{`len(1..100000) > 3`, false, `→ memory budget exceeded`},
	} {
		t.Run(tt.src, func(t *testing.T) {
			e, err := expect.Compile(tt.src, fields)
			require.NoError(t, err)
			require.Equal(t, probes.Check{Expr: tt.src, OK: tt.ok, Saw: tt.saw}, e.Check(values(t), false))
		})
	}
}

func TestCheckWithoutValues(t *testing.T) {
	for _, tt := range []struct{ src, saw string }{
		{`status == 200`, `status = —`},
		{`json.code == '0'`, `json.code = —`},
		{`latency < 2s`, `latency = —`},
		{`cert.days_left > 14`, `cert.days_left = —`},
		{`header('A') == ''`, `header("A") = —`},
		{`text contains 'x'`, `text = —`},
		{`len(json.list) == 0`, `json.list = —`},
	} {
		e, err := expect.Compile(tt.src, fields)
		require.NoError(t, err)
		c := e.Check(nil, true)
		require.Equal(t, probes.Check{Expr: tt.src, Warn: true, Saw: tt.saw}, c)
	}
}

func TestCheckTakesNumbersOfOtherWidths(t *testing.T) {
	e, err := expect.Compile(`status == 200 && cert.days_left > 1`, fields)
	require.NoError(t, err)
	require.True(t, e.Check(map[string]any{"status": int64(200), "cert": map[string]any{"days_left": 20}}, false).OK)
}

func TestSawIsBounded(t *testing.T) {
	e, err := expect.Compile(`text contains '系统' and json.a == text`, fields)
	require.NoError(t, err)
	c := e.Check(map[string]any{"text": strings.Repeat("页\x00\n", 50_000), "json": map[string]any{"a": "\xff\xfe" + strings.Repeat("乱", 9000)}}, false)
	require.False(t, c.OK)
	require.LessOrEqual(t, len(c.Saw), probes.ExcerptMax)
	require.NotContains(t, c.Saw, "\x00")
	require.Contains(t, c.Saw, "json.a = ")
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		src    string
		column int
		text   string
	}{
		{``, 1, `want an expression such as "status == 200", got nothing`},
		{`statu == 200`, 1, `unknown field "statu"; want "status"? The fields are cert.days_left, cert.issuer, header('…'), json, latency, lcp, names, script_errors, status, text`},
		{`latency < 2s and nothing == 1`, 18, `unknown field "nothing"; want one of cert.days_left, cert.issuer, header('…'), json, latency, lcp, names, script_errors, status, text`},
		{`$env['status'] == 200`, 1, `unknown field "$env"; want one of`},
		{`status == '200'`, 8, `invalid operation: == (mismatched types int and string)`},
		{`latency < 2s && status == 'a'`, 24, `invalid operation: == (mismatched types int and string)`},
		{`latency < 2`, 9, `invalid operation: < (mismatched types time.Duration and int); write a length of time with its unit, such as 2s or 800ms`},
		{`latency == 2`, 9, `invalid operation: == (mismatched types time.Duration and int)`},
		{`cert.days > 3`, 6, `unknown field "cert.days"; want one of cert.days_left, cert.issuer`},
		{`header(1) == ''`, 8, `cannot use int as argument (type string) to call header`},
		{`status ==`, 9, `unexpected token EOF`},
		{`status`, 1, `expected bool, but got int`},
		{`now() > 1`, 1, `function "now" is not offered`},
		{`nothing()`, 1, `unknown field "nothing"`},
		{`let x = status; x == 1`, 5, `want one expression`},
		{`text matches '('`, 6, `error parsing regexp`},
		{`latency < 2 s`, 13, `unexpected token Identifier("s")`},
		{`all(json.list, any(json.list, # == 1))`, 16, `any loops over a whole field inside another loop`},
		{strings.Repeat("status == 1 && ", 60) + "true", 763, `want an expression of at most 200 parts`},
	} {
		t.Run(tt.src, func(t *testing.T) {
			_, err := expect.Compile(tt.src, fields)
			var at *expect.SyntaxError
			require.ErrorAs(t, err, &at)
			require.Contains(t, at.Text, tt.text)
			require.Equal(t, tt.column, at.Column, at.Text)
		})
	}
}

func TestUses(t *testing.T) {
	e, err := expect.Compile(`text contains 'a' && all(json.list, .id > status) && header('B') != text && json.a == 1`, fields)
	require.NoError(t, err)
	require.Equal(t, []string{"header", "json", "status", "text"}, e.Uses())
	require.Equal(t, `text contains 'a' && all(json.list, .id > status) && header('B') != text && json.a == 1`, e.String())
}

func TestCheckConcurrently(t *testing.T) {
	e, err := expect.Compile(`status == 500 && header('Content-Type') contains 'json' && latency < 2s`, fields)
	require.NoError(t, err)
	env := values(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if c := e.Check(env, false); !c.OK {
					t.Errorf("want OK, got %+v", c)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`status == 200`, `json.code == '0'`, `latency < 1m30s`, `text contains '缴费2s明细'`, "`2s` == text",
		`header('Content-Type') contains 'json'`, `all(json, .a > 2s)`, `'\'2s' == text`, `/* 2s */ status == 1`, `json[0]?.a ?? 2s`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		e, err := expect.Compile(src, fields)
		if err != nil {
			return
		}
		for _, env := range []map[string]any{nil, {"json": map[string]any{"code": "0"}, "status": 200, "text": src}} {
			c := e.Check(env, false)
			require.LessOrEqual(t, len(c.Saw), probes.ExcerptMax)
		}
	})
}
