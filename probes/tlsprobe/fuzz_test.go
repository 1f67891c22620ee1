package tlsprobe

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"
	"github.com/stretchr/testify/require"
)

// counter counts what is read of it.
type counter struct {
	io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// FuzzFlight holds that no answer to a greeting crashes the reader, makes it keep
// much, or passes for one with certificates that were never sent.
func FuzzFlight(f *testing.F) {
	recorded, err := os.ReadFile("testdata/gmtls-flight.bin")
	require.NoError(f, err)
	f.Add(recorded)
	f.Add(recorded[:400])
	f.Add([]byte("\x15\x01\x01\x00\x02\x02\x28"))
	f.Add([]byte("\x15\x03\x03\x00\x02\x02\x46"))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Add(bytes.Repeat([]byte("\x16\x01\x01\x00\x00"), 20))
	f.Add([]byte("\x16\x01\x01\x00\x04\x02\xff\xff\xff"))
	root, err := os.ReadFile("testdata/gmtls-root.pem")
	require.NoError(f, err)
	block, _ := pem.Decode(root)
	trusted, err := smx509.ParseCertificate(block.Bytes)
	require.NoError(f, err)
	pool := smx509.NewCertPool()
	pool.AddCert(trusted)
	now := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, data []byte) {
		in := &counter{Reader: bytes.NewReader(data)}
		got, err := readFlight(in)
		require.LessOrEqual(t, in.n, maxAnswer+maxRecord)
		if err != nil {
			require.NotEmpty(t, reason(err))
			return
		}
		require.Equal(t, uint16(tlcpVersion), got.version)
		require.Contains(t, offeredSuites, got.suite)
		require.NotEmpty(t, got.certificates)
		require.LessOrEqual(t, len(got.certificates), maxTLCPSent)
		r := &tlcpReply{flight: got}
		r.read(pool, now)
		require.True(t, r.broken != nil || r.sign != nil)
		require.NotEmpty(t, r.attrs())
		if r.sign != nil {
			_ = isFor(r.sign, "www.rsj.test")
		}
	})
}

// FuzzIssuer holds that nothing that an AIA address serves crashes the reader.
func FuzzIssuer(f *testing.F) {
	root, err := os.ReadFile("testdata/gmtls-root.pem")
	require.NoError(f, err)
	block, _ := pem.Decode(root)
	f.Add(root)
	f.Add(block.Bytes)
	for _, name := range []string{"testdata/issuer.der", "testdata/issuer.p7c"} {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		got, err := readCertificates(data)
		require.NoError(f, err, name)
		require.Len(f, got, 1)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readCertificates(data)
		require.Equal(t, err == nil, len(got) > 0)
		require.LessOrEqual(t, len(got), maxBundle)
		if len(got) == 0 {
			return
		}
		c := climb(append([]*x509.Certificate{}, got...), x509.NewCertPool(), time.Unix(0, 0))
		require.NotEmpty(t, c.path)
		require.False(t, c.trusted())
		_ = readStaple(data, c, time.Unix(0, 0))
	})
}
