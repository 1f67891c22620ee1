package dashboards_test

import (
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/dashboards"
)

// TestPreview serves the fixtures for looking at them:
//
//	GENGFU_PREVIEW=127.0.0.1:8099 go test -run TestPreview -timeout 0 ./dashboards
//
// The empty fleet is one port higher, the hostile one two.
func TestPreview(t *testing.T) {
	addr := os.Getenv("GENGFU_PREVIEW")
	if addr == "" {
		t.Skip("set GENGFU_PREVIEW=host:port to look at the pages")
	}
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	require.NoError(t, err)
	failed := make(chan error, 3)
	for k, f := range []*fixture{rich(), empty(), hostile()} {
		h, err := dashboards.New(dashboards.Options{Source: f, Actions: f, Title: "示例市人力资源服务中心", Now: clock})
		require.NoError(t, err)
		mux := http.NewServeMux()
		mux.Handle("/", h)
		mux.HandleFunc("/api/v1/events", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "retry: 1000\n\n")
			for {
				fmt.Fprint(w, "event: slot\ndata: {\"kind\":\"slot\"}\n\n")
				if http.NewResponseController(w).Flush() != nil {
					return
				}
				select {
				case <-r.Context().Done():
					return
				case <-time.After(3 * time.Second):
				}
			}
		})
		mux.HandleFunc("/api/v1/evidence/{id}", picture)
		go func() { failed <- http.ListenAndServe(fmt.Sprintf("%s:%d", tcp.IP, tcp.Port+k), mux) }()
	}
	require.NoError(t, <-failed)
}

// picture stands in for a stored screenshot.
func picture(w http.ResponseWriter, r *http.Request) {
	text := "系统维护中，请稍后再试。"
	if r.PathValue("id") == digest("goodshot") {
		text = "个人权益记录 · 缴费明细"
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	fmt.Fprint(w, `<svg xmlns="http://www.w3.org/2000/svg" width="640" height="420"><rect width="640" height="420" fill="#eef2f8"/><rect width="640" height="64" fill="#2b5aa8"/><text x="24" y="42" font-size="24" fill="#fff" font-family="Noto Sans CJK SC">公共服务平台</text><text x="320" y="240" text-anchor="middle" font-size="26" fill="#333" font-family="Noto Sans CJK SC">`)
	_ = xml.EscapeText(w, []byte(text))
	fmt.Fprint(w, `</text></svg>`)
}
