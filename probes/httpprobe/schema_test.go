package httpprobe_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
)

const itemSchema = `
schema:
  type: object
  required: [code, data]
  properties:
    code: {const: "0"}
    data:
      type: object
      required: [total, list]
      properties:
        total: {type: integer, minimum: 0}
        list: {type: array, maxItems: 2, items: {$ref: "#/$defs/item"}}
  $defs:
    item: {type: object, required: [id], properties: {id: {type: integer}, on: {type: string, format: date}}, additionalProperties: false}
`

func TestJSONSchema(t *testing.T) {
	for body, want := range map[string][]string{
		`{"code":"0","data":{"total":2,"list":[{"id":1,"on":"2026-11-25"},{"id":12345678901234567}]}}`: nil,
		`{"code":"0","data":{"total":2.0,"list":[]}}`:                                                  nil,
		`{"code":"0"}`: {"/ required"},
		`{"code":"1","data":{"total":-1,"list":[]}}`:                         {"/code const", "/data/total minimum"},
		`{"code":"0","data":{"total":"2","list":[]}}`:                        {"/data/total type"},
		`{"code":"0","data":{"total":1.5,"list":[]}}`:                        {"/data/total type"},
		`{"code":"0","data":{"total":1,"list":[{"id":1},{"id":2},{}]}}`:      {"/data/list maxItems", "/data/list/2 required"},
		`{"code":"0","data":{"total":1,"list":[{"id":1,"x":1}]}}`:            {"/data/list/0 additionalProperties"},
		`{"code":"0","data":{"total":1,"list":[{"id":1,"on":"yesterday"}]}}`: {"/data/list/0/on format"},
		`[]`: {"/ type"},
	} {
		r, _ := probe(t, "request: "+serve(t, send(200, plainJSON, body))+itemSchema)
		var got []string
		for _, f := range r.Findings {
			require.Equal(t, probes.PhraseSchema, f.Phrase)
			got = append(got, f.Want)
		}
		require.ElementsMatch(t, want, got, "%s: %+v", body, r.Findings)
		if want != nil {
			require.Equal(t, probes.Down, r.Verdict)
			require.Equal(t, probes.ClassContent, r.Class)
			require.Contains(t, sentence(r), "应答不符合约定的 JSON 结构：/")
		}
	}
	// A page in its place is said plainly.
	r, _ := probe(t, "request: "+serve(t, send(200, utf8HTML, hall))+itemSchema)
	require.Equal(t, probes.PhraseHTMLNotJSON, r.Findings[0].Phrase)
}

func TestSchemaFindingsAreBounded(t *testing.T) {
	body := "[" + strings.Repeat(`"x",`, 100_000) + `"x"]`
	r, _ := probe(t, "request: "+serve(t, send(200, plainJSON, body))+"\nschema: {items: {type: integer}, uniqueItems: true}")
	require.Equal(t, probes.Down, r.Verdict)
	require.LessOrEqual(t, len(r.Findings), 5)
}

func TestContent(t *testing.T) {
	sum := func(s string) string {
		b := sha256.Sum256([]byte(s))
		return hex.EncodeToString(b[:])
	}
	const page = "<title>公告</title><style>a{}</style><h1>社保  缴费</h1>\n<p>今天是 2026-11-25 星期三</p> <script>1</script>您是第 4711 位访客"
	const seen = "社保 缴费 今天是 2026-11-25 星期三 您是第 4711 位访客"
	ignoring := `, ignore: ['\d{4}-\d\d-\d\d 星期.', '第 \d+ 位']`
	for _, tt := range []struct {
		name, content, kind, body string
		ok                        bool
	}{
		{"text", "{sha256: " + sum(seen) + "}", utf8HTML, page, true},
		{"in capitals", "{sha256: " + strings.ToUpper(sum(seen)) + "}", utf8HTML, page, true},
		{"one of several", "{sha256: [" + sum("x") + ", " + sum(seen) + "]}", utf8HTML, page, true},
		{"other markup", "{sha256: " + sum(seen) + "}", utf8HTML, strings.Replace(page, "<h1>", "<h1   class=x>\n", 1), true},
		{"another word", "{sha256: " + sum(seen) + "}", utf8HTML, strings.Replace(page, "缴费", "博彩", 1), false},
		{"a word that is added", "{sha256: " + sum(seen) + "}", utf8HTML, page + "<a>博彩</a>", false},
		{"what may change", "{sha256: " + sum("社保 缴费 今天是 您是 访客") + ignoring + "}", utf8HTML, strings.NewReplacer("25 星期三", "26 星期四", "4711", "5").Replace(page), true},
		{"and no more", "{sha256: " + sum("社保 缴费 今天是 您是 访客") + ignoring + "}", utf8HTML, strings.Replace(page, "访客", "来客", 1), false},
		{"bytes", "{of: body, sha256: " + sum(page) + "}", utf8HTML, page, true},
		{"other bytes", "{of: body, sha256: " + sum(page) + "}", utf8HTML, page + " ", false},
		{"GBK", "{sha256: " + sum(seen) + "}", "text/html; charset=gbk", gbk(page), true},
		{"JSON", "{sha256: " + sum(`{"a": 1}`) + "}", plainJSON, "{\"a\":\n 1}\n", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := probe(t, fmt.Sprintf("request: %s\nrules: off\ncontent: %s", serve(t, send(200, tt.kind, tt.body)), tt.content))
			if tt.ok {
				require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
				return
			}
			require.Equal(t, probes.Down, r.Verdict)
			require.Equal(t, probes.ClassContent, r.Class)
			require.Equal(t, probes.PhraseChanged, r.Findings[0].Phrase)
			require.Len(t, r.Findings[0].Got, 64)
			require.Contains(t, sentence(r), "内容与登记的不一致，可能被篡改：登记 ")
			require.Len(t, r.Evidence, 1, "what there is instead is kept")
		})
	}
}

func TestContentOfAnErrorPageIsNotAsked(t *testing.T) {
	r, _ := probe(t, "request: "+serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })+"\ncontent: {sha256: \""+strings.Repeat("0", 64)+"\"}")
	require.Equal(t, probes.ClassStatus, r.Class)
	require.Len(t, r.Findings, 1)
}
