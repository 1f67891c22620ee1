package app

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func ask(t *testing.T, cfg Config, change func(*http.Request)) int {
	t.Helper()
	h := guard(cfg, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8080/incidents/x/ack", nil)
	change(r)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestGuard(t *testing.T) {
	open := Config{PublicURL: "https://gengfu.example.test"}
	closed := Config{Password: "correct horse battery"}
	require.Equal(t, 200, ask(t, open, func(*http.Request) {}))
	require.Equal(t, 200, ask(t, open, func(r *http.Request) { r.Host = "gengfu.example.test" }))
	require.Equal(t, 421, ask(t, open, func(r *http.Request) { r.Host = "rebound.example.test:8080" }), "a name that was pointed here")
	require.Equal(t, 401, ask(t, closed, func(*http.Request) {}))
	require.Equal(t, 401, ask(t, closed, func(r *http.Request) { r.SetBasicAuth("张三", "wrong") }))
	require.Equal(t, 200, ask(t, closed, func(r *http.Request) { r.SetBasicAuth("张三", closed.Password) }))
	for _, cfg := range []Config{open, closed} {
		require.Equal(t, 403, ask(t, cfg, func(r *http.Request) {
			r.SetBasicAuth("张三", cfg.Password)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}), "another site's page must not act")
	}
}

func TestConfigRefusesToListenUnprotected(t *testing.T) {
	c := Config{HTTP: "0.0.0.0:8080", OTLPGRPC: "127.0.0.1:4317", OTLPHTTP: "127.0.0.1:4318", GitURL: "/x", GitPoll: 1e9, ClusterKey: "00000000000000000000000000000000", Name: "c"}
	_, err := c.ready()
	require.ErrorContains(t, err, "COORDINATOR_HTTP=0.0.0.0:8080 is reachable from other hosts without encryption")
	require.ErrorContains(t, err, "set COORDINATOR_PASSWORD")
	c.HTTP = "127.0.0.1:8080"
	_, err = c.ready()
	require.NoError(t, err)
}

func TestGuardAnswersProgramsWithProblems(t *testing.T) {
	for name, c := range map[string]struct {
		cfg    Config
		change func(*http.Request)
		want   int
	}{
		"host":         {Config{}, func(r *http.Request) { r.Host = "rebound.example.test" }, http.StatusMisdirectedRequest},
		"password":     {Config{Password: "correct horse battery"}, func(*http.Request) {}, http.StatusUnauthorized},
		"cross-origin": {Config{}, func(r *http.Request) { r.Header.Set("Origin", "https://elsewhere.example.test") }, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			h := guard(c.cfg, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("let in") }))
			r, w := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8080/api/v1/incidents/x/ack", nil), httptest.NewRecorder()
			c.change(r)
			h.ServeHTTP(w, r)
			require.Equal(t, c.want, w.Code)
			require.Equal(t, "application/problem+json; charset=utf-8", w.Header().Get("Content-Type"))
		})
	}
}
