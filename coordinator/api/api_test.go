package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/api"
	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/ingest"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/coordinator/view/viewtest"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// busy is a house in which every kind of answer has something in it.
func busy(t *testing.T) *house {
	h := newHouse(t, viewtest.Service("portal", probes.ChannelPortal, "page"))
	h.Members = []view.Member{viewtest.Agent("agent-east", "east")}
	h.Judged(portal, h.Now.Add(-2*time.Minute), probes.Up, probes.Up, probes.Up, availability.ReasonAgreed)
	h.Judged(portal, h.Now.Add(-time.Minute), probes.Down, probes.Down, probes.Down, availability.ReasonAgreed)
	i := h.Broke(1, "portal", h.Now.Add(-time.Minute), time.Time{}, portal)
	h.Sent(i, alert.EventOpened, alert.StateFailed, "HTTP 500")
	require.NoError(t, h.Store.RefuseCatalog(t.Context(), "badc0de", "王敏", "改", h.Now, []string{"services/x.yaml:1:1: wrong"}))
	h.Catalog.Silences = []definition.Silence{{Services: []string{"portal"}, From: h.Now, To: h.Now.Add(time.Hour), Reason: "升级", Source: "silences/x.yaml:1"}}
	h.Catalog.Calendar.Maintenance = []definition.Maintenance{{From: h.Now.Add(time.Hour), To: h.Now.Add(2 * time.Hour), Reason: "升级"}}
	return h
}

const (
	trace  = "00000000000000000000000000000003"
	broken = "GZ-20261125-0001"
)

func TestEveryRouteAnswers(t *testing.T) {
	h := busy(t)
	asked := map[string]bool{}
	for _, c := range []struct{ pattern, path, holds string }{
		{"GET /api/v1/overview", "/api/v1/overview", `"counts":{"down":1}`},
		{"GET /api/v1/services", "/api/v1/services", `"id":"portal"`},
		{"GET /api/v1/services/{id}", "/api/v1/services/portal", `"reason":"升级"`},
		{"GET /api/v1/probes/{service}/{probe}/runs", "/api/v1/probes/portal/page/runs", trace},
		{"GET /api/v1/runs/{trace_id}", "/api/v1/runs/" + trace, `"name":"connect"`},
		{"GET /api/v1/availability", "/api/v1/availability?service=portal&from=2026-11-25", `"down_seconds":60`},
		{"GET /api/v1/incidents", "/api/v1/incidents?open=true&from=2026-11-25&to=2026-11-26&service=portal", broken},
		{"GET /api/v1/incidents/{id}", "/api/v1/incidents/" + broken, `"name":"resolve_2h"`},
		{"GET /api/v1/alerts", "/api/v1/alerts", `"last_error":"HTTP 500"`},
		{"GET /api/v1/silences", "/api/v1/silences", "silences/x.yaml:1"},
		{"GET /api/v1/agents", "/api/v1/agents", `"alive":true`},
		{"GET /api/v1/catalog", "/api/v1/catalog", "services/x.yaml:1:1: wrong"},
		{"GET /api/v1/records", "/api/v1/records", `"to_fill":2`},
		{"GET /api/v1/records/{file}", "/api/v1/records/daily-" + paperDay + ".json", `"number":"FWJK-20261124"`},
		{"GET /api/v1/records/{file}", "/api/v1/records/daily-" + paperDay + ".xlsx", "PK"},
		{"GET /api/openapi.json", "/api/openapi.json", `"openapi": "3.1.0"`},
	} {
		asked[c.pattern] = true
		a := h.ask(http.MethodGet, c.path, "")
		require.Equal(t, http.StatusOK, a.status, "%s: %s", c.path, a.body)
		require.Contains(t, a.body, c.holds, c.path)
	}
	patterns, _ := api.Patterns()
	for _, p := range patterns {
		if strings.HasPrefix(p, "GET ") {
			elsewhere := []string{"GET /api/v1/evidence/{sha256}", "GET /api/v1/events", "GET /api/v1/catalog/{digest}"} // have tests of their own
			require.True(t, asked[p] || slices.Contains(elsewhere, p), "%s is not asked", p)
		}
	}
}

func TestNotFound(t *testing.T) {
	h := busy(t)
	for _, path := range []string{
		"/api/v1/services/no", "/api/v1/probes/portal/no/runs", "/api/v1/runs/" + strings.Repeat("f", 32), "/api/v1/availability?service=no",
		"/api/v1/incidents/no", "/api/v1/records/daily-2020-01-01.json", "/api/v1/records/daily-" + paperDay + ".pdf", "/api/v1/records/weekly-" + paperDay + ".xlsx",
		"/api/v1/evidence/" + strings.Repeat("0", 64), "/api/v1/no", "/api/v2/overview", "/api/",
	} {
		h.refuses(h.ask(http.MethodGet, path, ""), http.StatusNotFound, "")
	}
	for _, verb := range []string{"ack", "notes"} {
		h.refuses(h.ask(http.MethodPost, "/api/v1/incidents/no/"+verb, `{"by":"王敏"`+map[string]string{"ack": "", "notes": `,"text":"看过"`}[verb]+`}`, asJSON), http.StatusNotFound, "")
	}
}

func TestBadQueries(t *testing.T) {
	h := busy(t)
	runs := "/api/v1/probes/portal/page/runs"
	for path, text := range map[string]string{
		runs + "?from=yesterday":                             "from: want RFC 3339",
		runs + "?to=2026-02-30":                              "to: want RFC 3339",
		runs + "?from=9999-01-01T00:00:00Z":                  "from: want RFC 3339",
		runs + "?limit=1001":                                 "limit: want a number from 1 to 1000",
		runs + "?limit=0":                                    "limit: want",
		runs + "?limit=ten":                                  "limit: want",
		runs + "?limit=1&limit=2":                            "limit: want it once",
		runs + "?cursor=2026-11-25T00:00:00Z":                "cursor: want",
		runs + "?cursor=1.2.ZZ":                              "cursor: want",
		runs + "?cursor=1.2." + strings.Repeat("G", 32):      "cursor: want",
		runs + "?curser=1":                                   `want one of from, to, limit, cursor, got "curser"`,
		runs + "?limit=%zz":                                  "query:",
		"/api/v1/incidents?open=yes":                         "open: want true or false",
		"/api/v1/incidents?limit=501":                        "limit: want a number from 1 to 500",
		"/api/v1/incidents?cursor=GZ-20200101-0001":          "cursor: want",
		"/api/v1/incidents?from=x":                           "from: want",
		"/api/v1/alerts?cursor=-1":                           "cursor: want",
		"/api/v1/alerts?limit=501":                           "limit: want",
		"/api/v1/availability?from=2026-11-26&to=2026-11-25": "at most 92 days",
		"/api/v1/availability?from=2026-01-01&to=2026-11-25": "at most 92 days",
		"/api/v1/records/daily.xlsx":                         "want KIND-PERIOD.EXT",
		"/api/v1/records/noext":                              "want KIND-PERIOD.EXT",
		"/api/v1/overview?x=1":                               `want no parameter, got "x"`,
	} {
		t.Run(path, func(t *testing.T) { h.refuses(h.ask(http.MethodGet, path, ""), http.StatusBadRequest, text) })
	}
}

func TestWrongMethod(t *testing.T) {
	h := busy(t)
	a := h.ask(http.MethodDelete, "/api/v1/services", "")
	h.refuses(a, http.StatusMethodNotAllowed, "got DELETE")
	require.Equal(t, "GET, HEAD", a.header.Get("Allow"))
	a = h.ask(http.MethodPost, "/api/v1/evidence/"+strings.Repeat("0", 64), "")
	h.refuses(a, http.StatusMethodNotAllowed, "")
	require.Equal(t, "GET, HEAD, PUT", a.header.Get("Allow"))
	a = h.ask(http.MethodPut, "/api/v1/catalog/poll", "")
	h.refuses(a, http.StatusMethodNotAllowed, "")
}

func TestPeopleSay(t *testing.T) {
	h := busy(t)
	say := func(verb, body string, change ...func(*http.Request)) answer {
		return h.ask(http.MethodPost, "/api/v1/incidents/"+broken+"/"+verb, body, append([]func(*http.Request){asJSON}, change...)...)
	}
	require.Contains(t, say("ack", `{"by":"王敏"}`).body, `"acked_by":"王敏"`)
	require.Contains(t, say("notes", `{"by":"王敏","text":"正在处理"}`).body, "正在处理")
	h.refuses(say("ack", `{"by":"王敏","text":"x"}`), http.StatusBadRequest, "text:")
	h.refuses(say("ack", `{"by":" "}`), http.StatusBadRequest, "by:")
	h.refuses(say("notes", `{"by":"王敏"}`), http.StatusBadRequest, "text:")
	h.refuses(say("notes", `{"by":"王敏","text":"a","x":1}`), http.StatusBadRequest, "unknown field")
	h.refuses(say("notes", `{"by":"王敏","text":"a"} {"by":"b"}`), http.StatusBadRequest, "nothing after")
	h.refuses(say("notes", `{`), http.StatusBadRequest, "body:")
	h.refuses(say("notes", `{"by":"a","text":"`+strings.Repeat("x", 70_000)+`"}`), http.StatusRequestEntityTooLarge, "65536 bytes")
	h.refuses(say("notes", `by=a`, with("Content-Type", "application/x-www-form-urlencoded")), http.StatusUnsupportedMediaType, "application/json")
}

func TestOwnTroubleIsNotShown(t *testing.T) {
	h := busy(t)
	h.fail = errors.New("disk /secret/path gone")
	a := h.ask(http.MethodGet, "/api/v1/overview", "")
	h.refuses(a, http.StatusInternalServerError, "")
	require.NotContains(t, a.body, "secret")
	require.Contains(t, h.logs.String(), "/secret/path")
}

func TestMachinesNeedTheirTokens(t *testing.T) {
	h := busy(t)
	body := "/api/v1/catalog/" + h.Catalog.Revision.Digest
	for _, token := range []string{"", "Bearer wrong", agentToken, "Basic " + agentToken, "Bearer "} {
		a := h.ask(http.MethodGet, body, "", with("Authorization", token))
		h.refuses(a, http.StatusUnauthorized, "Bearer")
		require.NotEmpty(t, a.header.Get("WWW-Authenticate"))
		h.refuses(h.ask(http.MethodPost, "/api/v1/catalog/poll", "", with("Authorization", token)), http.StatusUnauthorized, "")
		h.refuses(h.ask(http.MethodPut, "/api/v1/evidence/"+strings.Repeat("0", 64), "x", with("Authorization", token)), http.StatusUnauthorized, "")
	}
	require.Zero(t, h.polls)
	require.Equal(t, "the files", h.ask(http.MethodGet, body, "", with("Authorization", "Bearer "+agentToken)).body)
	h.refuses(h.ask(http.MethodGet, "/api/v1/catalog/no", "", with("Authorization", "Bearer "+agentToken)), http.StatusNotFound, "")
	require.Equal(t, http.StatusAccepted, h.ask(http.MethodPost, "/api/v1/catalog/poll?by=hook", "", with("Authorization", "Bearer "+gitToken)).status)
	require.Equal(t, http.StatusAccepted, h.ask(http.MethodPost, "/api/v1/catalog/poll", "", with("X-Gitlab-Token", gitToken)).status)
	require.Equal(t, 2, h.polls)
}

// Without a webhook token only this host may ask; without a fleet's token nobody is a member.
func TestNoTokensSet(t *testing.T) {
	mux, polls := http.NewServeMux(), 0
	api.RegisterMachines(mux, api.Options{PollGit: func() { polls++ }, Evidence: http.NotFoundHandler()})
	ask := func(method, path, from string) int {
		r, w := httptest.NewRequest(method, path, nil), httptest.NewRecorder()
		r.RemoteAddr = from
		mux.ServeHTTP(w, r)
		return w.Code
	}
	require.Equal(t, http.StatusAccepted, ask(http.MethodPost, "/api/v1/catalog/poll", "127.0.0.1:9"))
	require.Equal(t, http.StatusUnauthorized, ask(http.MethodPost, "/api/v1/catalog/poll", "192.0.2.1:9"))
	require.Equal(t, 1, polls)
	require.Equal(t, http.StatusUnauthorized, ask(http.MethodGet, "/api/v1/catalog/x", "127.0.0.1:9"))
}

func TestEvidence(t *testing.T) {
	h := newHouse(t)
	put := func(name, body, media string) answer {
		return h.ask(http.MethodPut, "/api/v1/evidence/"+name, body, with("Authorization", "Bearer "+agentToken), with("Content-Type", media))
	}
	sum := func(s string) string { b := sha256.Sum256([]byte(s)); return hex.EncodeToString(b[:]) }
	require.Equal(t, http.StatusNoContent, put(sum("a picture"), "a picture", "image/png").status)
	a := h.ask(http.MethodGet, "/api/v1/evidence/"+sum("a picture"), "")
	require.Equal(t, "a picture", a.body)
	require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
	require.Contains(t, a.header.Get("Content-Security-Policy"), "sandbox")
	h.refuses(put(sum("another"), "a picture", "image/png"), http.StatusBadRequest, "SHA-256")
	h.refuses(put("abc", "a picture", "image/png"), http.StatusBadRequest, "SHA-256")
	h.refuses(put(sum("<script>"), "<script>", "text/html"), http.StatusUnsupportedMediaType, "image/jpeg")
	large := strings.Repeat("x", ingest.MaxEvidence+1)
	h.refuses(put(sum(large), large, "image/png"), http.StatusRequestEntityTooLarge, "at most")
}
