package doubt

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOneReferenceThatAnswersIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		d := New(Options{
			Targets: []string{"a:1", "b:1"}, Every: time.Second, Logger: slog.New(slog.DiscardHandler),
			Dial: func(_ context.Context, _, addr string) (net.Conn, error) {
				if addr == "b:1" && up.Load() {
					c, other := net.Pipe()
					other.Close()
					return c, nil
				}
				return nil, errors.New("no route to host")
			},
		})
		require.Empty(t, d.Unwell(), "trusts itself before the first look")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- d.Run(ctx) }()
		synctest.Wait()
		require.Contains(t, d.Unwell(), "a:1, b:1")
		up.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Empty(t, d.Unwell())
		cancel()
		require.NoError(t, <-done)
	})
}
