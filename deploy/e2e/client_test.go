package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What the API says, as a client of its documentation would read it: no types of
// the programs are used here.
type (
	vote struct {
		Vantage, Agent, Verdict, Class, Trigger string
		TraceID                                 string `json:"trace_id"`
	}
	state struct {
		Verdict, Class, Reason string
		Stale                  bool
		Votes                  []vote
	}
	serviceRow struct {
		ID, Name, Channel, Life, Incident string
		State                             state
		Today                             figure
	}
	figure struct {
		Availability, Coverage *float64
		DownSeconds            float64 `json:"down_seconds"`
	}
	incidentRow struct {
		ID, Service, Name, Grade, Class string
		Vantages                        []string
		Began, Opened, Resolved         time.Time
	}
	runRow struct {
		TraceID                                 string `json:"trace_id"`
		Slot, Started                           time.Time
		Agent, Vantage, Trigger, Verdict, Class string
		Status                                  int
	}
	probeView struct {
		Key    string
		Kind   string
		Every  time.Duration
		Owners []string
		State  state
		Runs   []runRow
	}
	servicePage struct {
		Service serviceRow
		Probes  []probeView
		Day     figure
	}
	span struct {
		ID, Parent, Name string
		Start            time.Time
		Took             time.Duration
	}
	evidence struct {
		Kind, MIME, SHA256 string
		Size               int
	}
	runPage struct {
		Run struct {
			TraceID string `json:"trace_id"`
			Result  struct {
				Verdict, Class string
				Status         int
				Evidence       []evidence
			}
		}
		Spans []span
	}
	agentRow struct {
		Name, Site, Commit string
		Alive, Behind      bool
		Labels             map[string]string
		Owns               int
	}
	catalogState struct {
		Revision struct{ Commit, Subject string }
		Refused  *struct {
			Commit   string
			Mistakes []string
		}
		Error string
	}
	overview struct {
		Counts   map[string]int
		Channels []struct {
			Channel  string
			Services []serviceRow
		}
		Incidents []incidentRow
		Warnings  []struct{ Kind, Text string }
		Catalog   catalogState
	}
	list[T any] struct{ Items []T }
)

// call performs a request and returns status and body.
func call(t *testing.T, method, url string, body any) (int, []byte) {
	t.Helper()
	status, b, err := try(t.Context(), method, url, body)
	require.NoError(t, err)
	return status, b
}

func try(ctx context.Context, method, url string, body any) (int, []byte, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		in = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, in)
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, b, err
}

// get reads JSON.
func get[T any](t *testing.T, url string) T {
	t.Helper()
	status, b := call(t, http.MethodGet, url, nil)
	require.Equal(t, http.StatusOK, status, "%s: %s", url, b)
	var v T
	require.NoError(t, json.Unmarshal(b, &v), "%s: %s", url, b)
	return v
}

// until polls a condition; it fails with what was last seen.
func until(t *testing.T, within time.Duration, what string, ok func() (bool, string)) time.Duration {
	t.Helper()
	began := time.Now()
	last := ""
	for {
		done, saw := ok()
		if done {
			return time.Since(began)
		}
		last = saw
		require.Less(t, time.Since(began), within, "%s; last seen: %s", what, last)
		select {
		case <-t.Context().Done():
			t.FailNow()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func services(t *testing.T, base string) map[string]serviceRow {
	t.Helper()
	rows := map[string]serviceRow{}
	for _, r := range get[list[serviceRow]](t, base+"/api/v1/services").Items {
		rows[r.ID] = r
	}
	return rows
}

func describe(rows map[string]serviceRow, skip string) string {
	var out []string
	for id, r := range rows {
		if r.State.Verdict != skip {
			out = append(out, fmt.Sprintf("%s %s/%s %s", id, r.State.Verdict, r.State.Class, r.State.Reason))
		}
	}
	return strings.Join(out, ", ")
}
