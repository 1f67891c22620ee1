package ingest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestASlowUploadOutlastsTheServersBound: whoever has the token has more time
// than the server gives to anybody.
func TestASlowUploadOutlastsTheServersBound(t *testing.T) {
	h := serve(t, 0)
	mux := http.NewServeMux()
	mux.Handle("PUT /api/v1/evidence/{sha256}", h.Evidence())
	web := httptest.NewUnstartedServer(mux)
	web.Config.ReadTimeout = 500 * time.Millisecond
	web.Start()
	t.Cleanup(web.Close)

	sum := sha256.Sum256([]byte("slow"))
	body, in := io.Pipe()
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		_, _ = io.WriteString(in, "sl") // a server that left is seen below
		time.Sleep(3 * web.Config.ReadTimeout)
		_, _ = io.WriteString(in, "ow")
		_ = in.Close()
	}()
	defer func() { <-fed }()
	defer body.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, web.URL+"/api/v1/evidence/"+hex.EncodeToString(sum[:]), body)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "text/plain")
	resp, err := web.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	require.Len(t, h.store.evidence, 1)
}
