package api_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/api"
)

const patience = 30 * time.Second

// listen opens the live stream and waits until it is heard.
func listen(t *testing.T, h *house) (lines *bufio.Scanner, leave func()) {
	t.Helper()
	before := h.hub.Clients()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+"/api/v1/events", nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "text/event-stream; charset=utf-8", res.Header.Get("Content-Type"))
	require.Eventually(t, func() bool { return h.hub.Clients() == before+1 }, patience, time.Millisecond)
	return bufio.NewScanner(res.Body), func() { cancel(); _ = res.Body.Close() }
}

// until reads lines up to one that begins so.
func until(t *testing.T, lines *bufio.Scanner, start string) string {
	t.Helper()
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), start) {
			return lines.Text()
		}
	}
	t.Fatalf("the stream ended before %q: %v", start, lines.Err())
	return ""
}

func TestEventsArriveAndListenersLeave(t *testing.T) {
	h := busy(t)
	lines, leave := listen(t, h)
	h.hub.Publish(api.Event{Kind: "slot", Service: "portal"})
	until(t, lines, "event: slot")
	require.Equal(t, `data: {"kind":"slot","service":"portal"}`, until(t, lines, "data:"))
	h.ask(http.MethodPost, "/api/v1/incidents/"+broken+"/ack", `{"by":"王敏"}`, asJSON)
	require.Equal(t, fmt.Sprintf(`data: {"kind":"incident","id":%q}`, broken), until(t, lines, "data:"), "who acts by the API is seen by the pages")
	leave()
	require.Eventually(t, func() bool { return h.hub.Clients() == 0 }, patience, time.Millisecond)

	lines, leave = listen(t, h)
	defer leave()
	h.hub.Close()
	require.True(t, lines.Scan())
	for lines.Scan() { // to the end, which Close brings about
	}
	require.NoError(t, lines.Err())
}

func TestLostEventsAreTold(t *testing.T) {
	h := newHouse(t)
	lines, leave := listen(t, h)
	defer leave()
	// Faster than any listener, and not one more afterwards that could bring it up.
	deadline := time.Now().Add(patience)
	for h.hub.Dropped() == 0 && time.Now().Before(deadline) {
		for range 10 * api.Queue {
			h.hub.Publish(api.Event{Kind: "slot", Service: strings.Repeat("x", 1000)})
		}
	}
	require.NotZero(t, h.hub.Dropped())
	until(t, lines, "event: all")
}

func TestTooManyListeners(t *testing.T) {
	h := newHouse(t)
	h.hub.SetMost(1)
	_, leave := listen(t, h)
	defer leave()
	a := h.ask(http.MethodGet, "/api/v1/events", "")
	h.refuses(a, http.StatusServiceUnavailable, "1")
	require.Equal(t, "10", a.header.Get("Retry-After"))
}
