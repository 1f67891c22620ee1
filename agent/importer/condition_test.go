package importer

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes/expect"
	"github.com/gengfu/gengfu/probes/httpprobe"
)

var webWords = words{body: "trim(body)", json: true, days: "cert.days_left"}

func TestConditions(t *testing.T) {
	for src, want := range map[string]string{
		"[STATUS] == 200":                        "status == 200",
		"200 == [STATUS]":                        "status == 200",
		"300 > [STATUS]":                         "status < 300",
		"[STATUS] != any(500, 503)":              "status not in [500, 503]",
		"[STATUS] == pat(2*)":                    "string(status) startsWith '2'",
		"[RESPONSE_TIME] <= 1500":                "latency <= 1.5s",
		"[RESPONSE_TIME] < 2m":                   "latency < 2m",
		"[CERTIFICATE_EXPIRATION] > 36h":         "cert.days_left > 1.5",
		"[CONNECTED] == true":                    "",
		"[IP] == any(10.0.0.1, ::1)":             "ip in ['10.0.0.1', '::1']",
		"[BODY] == UP":                           "trim(body) == 'UP'",
		"[BODY] == 1":                            "trim(body) == '1'",
		"[BODY] != pat(*系统维护中*)":                 "not (body contains '系统维护中')",
		"[BODY] == pat(a*b?c)":                   `trim(body) matches '(?s)^a.*b.c$'`,
		"[BODY].user-info.name == it's":          `json['user-info'].name == 'it\'s'`,
		"[BODY][0].id == 7":                      "string(json[0].id) == '7'",
		"[BODY].ok == true":                      "string(json.ok) == 'true'",
		"[BODY].n >= 3.50":                       "float(json.n) >= 3.5",
		"[BODY].a == [BODY].b":                   "string(json.a) == string(json.b)",
		"[BODY].a < [BODY].b":                    "float(json.a) < float(json.b)",
		"len([BODY].list) > 2":                   "len(json.list) > 2",
		"len([BODY]) == 2":                       "len(json) == 2",
		"has([BODY].a.b) == true":                "json?.a?.b != nil",
		"has([BODY].a-b) != true":                "json?.['a-b'] == nil",
		"[BODY].cost == $${x}":                   `json.cost == '$$${x}'`,
		"[BODY].line == a\x01\u200bb\U000e0001":  `json.line == 'a\u0001\u200bb\U000e0001'`,
		"[BODY].token == true":                   "string(json.token) == 'true'",
		"[BODY].data[0].name == pat(john*)":      "string(json.data[0].name) startsWith 'john'",
		"[BODY].data.items[2].state == any(A,B)": "string(json.data.items[2].state) in ['A', 'B']",
	} {
		t.Run(src, func(t *testing.T) {
			got, why := gatusCondition(src, webWords)
			require.Empty(t, why)
			require.Equal(t, want, got)
			if want != "" {
				_, err := expect.Compile(got, httpprobe.Fields())
				require.NoError(t, err)
			}
		})
	}
}

func TestConditionsThatAreLeft(t *testing.T) {
	for src, why := range map[string]string{
		"[STATUS]":                         "none of the operators",
		"1 == 1":                           "nothing that the probe sees",
		"[DOMAIN_EXPIRATION] > 720h":       "nothing here that says the same",
		"[DNS_RCODE] == NOERROR":           "means nothing for this kind",
		"[CONNECTED] == false":             "has always failed",
		"[STATUS] > pat(2*)":               "go with == and != alone",
		"[RESPONSE_TIME] == any(1, 2)":     "are understood of",
		"[RESPONSE_TIME] < soon":           "want milliseconds",
		"[CERTIFICATE_EXPIRATION] > 48":    "want a duration",
		"[STATUS] < many":                  "want a number",
		"[BODY].a < many":                  "want a number",
		"len([IP]) == 3":                   "of [BODY] alone",
		"has([IP]) == true":                "understood of a path",
		"has([BODY].a) == 1":               "true or false",
		"has([BODY].a[0]) == false":        "of names alone",
		"[BODY].a[?(@.x==1)] == 2":         "a path such as",
		"[BODY].items[*].a == 2":           "a path such as",
		"[BODY] == pat([a-z]*)":            "a pattern of * and ?",
		"[CERTIFICATE_EXPIRATION] == [IP]": "not compared with each other",
		"[BODY].access_token == abcdefgh":  "compares with a secret",
	} {
		expr, got := gatusCondition(src, webWords)
		require.Empty(t, expr, src)
		require.Contains(t, got, why, src)
	}
}

func TestStatusRanges(t *testing.T) {
	for list, want := range map[string]string{
		"200-299":         "status in 200..299",
		"2xx":             "status in 200..299",
		"200":             "status == 200",
		"200 301 500-510": "status in 500..510 or status in [200, 301]",
		"":                "",
		"2000":            "",
		"ok":              "",
		"200-":            "",
	} {
		got, ok := statusIn(strings.Fields(list))
		require.Equal(t, want, got, list)
		require.Equal(t, want != "", ok, list)
		if ok {
			_, err := expect.Compile(got, httpprobe.Fields())
			require.NoError(t, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ name, target, id string }{
		{"Front End / API", "", "front-end-api"},
		{"门户首页", "https://u:p@www.rsj.example:8443/grbs/?x=1#y", "www-rsj-example-8443-grbs"},
		{"门户 portal", "https://www.rsj.example", "www-rsj-example"},
		{"!!!", "", "service"},
		{"???", "db.example:5432", "db-example-5432"},
		{strings.Repeat("a-", 60), "", strings.Repeat("a-", 31) + "a"},
	} {
		require.Equal(t, c.id, slugOf(c.name, c.target))
	}
	j := &job{ids: map[string]bool{}}
	long := strings.Repeat("x", maxID)
	for _, want := range []string{long, long[:maxID-2] + "-2", long[:maxID-2] + "-3"} {
		require.Equal(t, want, j.unique(long))
	}
	require.Equal(t, "社保-业务", folder(" ../社保/业务 "))
	require.Empty(t, folder("../.."))
}

func TestSecretsInBodies(t *testing.T) {
	for body, want := range map[string]string{
		`{"user":"me","password":"pa\"ss","n":1}`:      `{"user":"me","password":"${secret:X_PASSWORD}","n":1}`,
		`{"pin": 123456}`:                              `{"pin": ${secret:X_PIN}}`,
		`user=me&password=a%20b&token=c`:               `user=me&password=${secret:X_PASSWORD}&token=${secret:X_TOKEN}`,
		`<a><w:Password x="1">geheim</w:Password></a>`: `<a><w:Password x="1">${secret:X_PASSWORD}</w:Password></a>`,
		`{"query":"{ f(token: \"abc\") }"}`:            `{"query":"{ f(token: \"${secret:X_TOKEN}\") }"}`,
		`jwt eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl!`:  `jwt ${secret:X_TOKEN}!`,
		`{"note":"Bearer 0123456789abcdef"}`:           `{"note":"Bearer ${secret:X_TOKEN}"}`,
		`{"keyword":"a","monkey":"b"}`:                 `{"keyword":"a","monkey":"b"}`,
		`{"password":"${secret:KEPT}"}`:                `{"password":"${secret:KEPT}"}`,
	} {
		j := &job{secrets: newVault(), noted: map[Note]bool{}, src: Source{Name: "in"}}
		require.Equal(t, want, j.body(&draft{id: "x"}, place{"in", 1}, body))
	}
}

// FuzzQuote holds that whatever is written is read back as it was.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a", "a: b", "a #b", "- a", "true", "Null", "0x1f", "${service.url}", "status == 200", "a\nb\t", "'a'", `"\`, "\u2028\ufeff", "*a", "&a", "a:", "inf", "门户", "{a}", "@a", "\U0001f600"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "")
		text := "k:\n  - " + quote(s) + "\n  - x\n"
		var got struct{ K []any }
		require.NoError(t, yaml.Unmarshal([]byte(text), &got), text)
		require.Equal(t, []any{s, "x"}, got.K, text)
		text = quote(s) + ": " + quote(s) + "\n"
		var table map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(text), &table), text)
		require.Equal(t, map[string]any{s: s}, table, text)
	})
}
