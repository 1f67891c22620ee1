package app

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestASlowClientIsCutOff: one that never ends its request holds nothing for ever.
func TestASlowClientIsCutOff(t *testing.T) {
	ended := make(chan error, 1)
	a := &App{log: slog.New(slog.DiscardHandler)}
	s := a.server(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		ended <- err
	}), nil)
	require.Equal(t, readWithin, s.ReadTimeout)
	s.ReadTimeout = 200 * time.Millisecond
	on, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- quiet(serve(s, on)) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.NoError(t, <-served)
	})
	c, err := net.Dial("tcp", on.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nslow")
	require.NoError(t, err)
	select {
	case err := <-ended:
		var late net.Error
		require.ErrorAs(t, err, &late)
		require.True(t, late.Timeout())
	case <-time.After(30 * time.Second):
		t.Fatal("still reading")
	}
}
