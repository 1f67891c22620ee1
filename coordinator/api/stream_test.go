package api_test

import (
	"bufio"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/api"
)

// TestALivePageOutlastsTheServersBound: the bound on reading a request must not
// end a stream.
func TestALivePageOutlastsTheServersBound(t *testing.T) {
	hub := api.NewHub()
	mux := http.NewServeMux()
	api.Register(mux, api.Options{Events: hub, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	web := httptest.NewUnstartedServer(mux)
	web.Config.ReadTimeout = 300 * time.Millisecond
	web.Start()
	t.Cleanup(web.Close)
	t.Cleanup(hub.Close)

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+"/api/v1/events", nil)
	require.NoError(t, err)
	resp, err := web.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	time.Sleep(4 * web.Config.ReadTimeout) // what must not end it is time itself
	hub.Publish(api.Event{Kind: "agents"})
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "event: agents") {
			return
		}
	}
	t.Fatalf("the stream ended: %v", lines.Err())
}
