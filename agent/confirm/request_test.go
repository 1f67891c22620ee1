package confirm

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
)

func FuzzDecode(f *testing.F) {
	f.Add(request{key: probes.Key{Service: "s", Probe: "p"}, slot: time.Unix(1, 5), digest: "abc"}.encode())
	f.Add([]byte(`{"v":1,"probe":"s/p","slot":-1}`))
	f.Add([]byte(`{"v":1,"probe":"//","slot":1e99}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decode(b)
		if err != nil {
			return
		}
		again, err := decode(r.encode())
		if len(r.encode()) > maxRequest {
			return // escapes may make it longer
		}
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}
