package tlsprobe_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"
)

// smEntity is a certificate of SM2 with its key.
type smEntity struct {
	cert *smx509.Certificate
	key  *sm2.PrivateKey
}

func (e smEntity) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.cert.Raw}))
}

func signSM(t testing.TB, template, parent *x509.Certificate, key, by *sm2.PrivateKey) smEntity {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	require.NoError(t, err)
	template.SerialNumber = serial
	template.SignatureAlgorithm = smx509.SM2WithSM3
	der, err := smx509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	require.NoError(t, err)
	cert, err := smx509.ParseCertificate(der)
	require.NoError(t, err)
	return smEntity{cert, key}
}

func smKey(t testing.TB) *sm2.PrivateKey {
	t.Helper()
	key, err := sm2.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

func newSMRoot(t testing.TB, name string) smEntity {
	t.Helper()
	template, key := authorityTemplate(name), smKey(t)
	return signSM(t, template, template, key, key)
}

func (e smEntity) intermediate(t testing.TB, name string) smEntity {
	t.Helper()
	return signSM(t, authorityTemplate(name), e.cert.ToX509(), smKey(t), e.key)
}

// pair makes the two certificates of a site; the changes are of both.
func (e smEntity) pair(t testing.TB, changes ...change) (sign, crypt smEntity) {
	t.Helper()
	return e.site(t, x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment, changes...),
		e.site(t, x509.KeyUsageKeyEncipherment|x509.KeyUsageDataEncipherment|x509.KeyUsageKeyAgreement, changes...)
}

func (e smEntity) site(t testing.TB, usage x509.KeyUsage, changes ...change) smEntity {
	t.Helper()
	template := authorityTemplate(host)
	template.IsCA, template.DNSNames, template.KeyUsage = false, []string{host}, usage
	template.NotAfter = day.AddDate(0, 0, 200)
	for _, c := range changes {
		c(template)
	}
	return signSM(t, template, e.cert.ToX509(), smKey(t), e.key)
}

// smServer answers every TLCP greeting with one flight, and TLS with config.
type smServer struct {
	version, suite uint16
	certs          [][]byte
	config         *tls.Config // nil refuses TLS with an alert
	noName         bool        // refuses greetings with extensions
	chunk          int         // bytes of a record; 0 puts everything into one
	extensions     bool        // in ServerHello

	mu     sync.Mutex
	hellos []smHello
}

// smHello is what a client greeted with.
type smHello struct {
	record, version uint16
	suites          []uint16
	name            string
	extended        bool
}

func (s *smServer) certificates(list ...smEntity) *smServer {
	for _, e := range list {
		s.certs = append(s.certs, e.cert.Raw)
	}
	return s
}

func (s *smServer) serve(t testing.TB) string {
	t.Helper()
	return listen(t, func(conn net.Conn) {
		head := make([]byte, 5)
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		if head[1] != 1 {
			if s.config == nil {
				_, _ = conn.Write([]byte{21, 3, 3, 0, 2, 2, 70})
				return
			}
			greetTLS(&replay{conn, head}, s.config)
			return
		}
		body := make([]byte, int(head[3])<<8|int(head[4]))
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		h, ok := parseHello(head, body)
		if !ok {
			return
		}
		s.mu.Lock()
		s.hellos = append(s.hellos, h)
		s.mu.Unlock()
		if s.noName && h.extended {
			_, _ = conn.Write([]byte{21, 1, 1, 0, 2, 2, 50})
			return
		}
		_, _ = conn.Write(s.flight())
		_, _ = io.Copy(io.Discard, conn)
	})
}

// flight is ServerHello, Certificate, ServerKeyExchange and ServerHelloDone.
func (s *smServer) flight() []byte {
	var m cryptobyte.Builder
	message := func(kind uint8, body func(*cryptobyte.Builder)) {
		m.AddUint8(kind)
		m.AddUint24LengthPrefixed(body)
	}
	message(2, func(b *cryptobyte.Builder) {
		b.AddUint16(s.version)
		b.AddBytes(make([]byte, 32))
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(make([]byte, 32)) })
		b.AddUint16(s.suite)
		b.AddUint8(0)
		if s.extensions {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(0); b.AddUint16(0) })
		}
	})
	message(11, func(b *cryptobyte.Builder) {
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, der := range s.certs {
				b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(der) })
			}
		})
	})
	message(12, func(b *cryptobyte.Builder) { b.AddBytes(make([]byte, 72)) })
	message(14, func(*cryptobyte.Builder) {})
	rest, out := m.BytesOrPanic(), []byte(nil)
	for len(rest) > 0 {
		n := len(rest)
		if s.chunk > 0 {
			n = min(n, s.chunk)
		}
		out = append(out, 22, 1, 1, byte(n>>8), byte(n))
		out, rest = append(out, rest[:n]...), rest[n:]
	}
	return out
}

// parseHello reads a ClientHello strictly by GB/T 38636-2020.
func parseHello(head, body []byte) (smHello, bool) {
	h := smHello{record: uint16(head[1])<<8 | uint16(head[2])}
	s := cryptobyte.String(body)
	var kind uint8
	var inner, session, suites, compression, extensions cryptobyte.String
	if head[0] != 22 || !s.ReadUint8(&kind) || kind != 1 || !s.ReadUint24LengthPrefixed(&inner) || !s.Empty() ||
		!inner.ReadUint16(&h.version) || !inner.Skip(32) || !inner.ReadUint8LengthPrefixed(&session) ||
		!inner.ReadUint16LengthPrefixed(&suites) || !inner.ReadUint8LengthPrefixed(&compression) || len(compression) != 1 {
		return h, false
	}
	for !suites.Empty() {
		var id uint16
		if !suites.ReadUint16(&id) {
			return h, false
		}
		h.suites = append(h.suites, id)
	}
	if h.extended = !inner.Empty(); !h.extended {
		return h, true
	}
	var id uint16
	var data, list, name cryptobyte.String
	var form uint8
	ok := inner.ReadUint16LengthPrefixed(&extensions) && inner.Empty() && extensions.ReadUint16(&id) && id == 0 &&
		extensions.ReadUint16LengthPrefixed(&data) && extensions.Empty() && data.ReadUint16LengthPrefixed(&list) && data.Empty() &&
		list.ReadUint8(&form) && form == 0 && list.ReadUint16LengthPrefixed(&name) && list.Empty()
	h.name = string(name)
	return h, ok
}

func (s *smServer) greetings() []smHello {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]smHello{}, s.hellos...)
}

// replay is a connection whose first bytes were read already.
type replay struct {
	net.Conn
	head []byte
}

func (r *replay) Read(p []byte) (int, error) {
	if len(r.head) > 0 {
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}

// expiring sets the end of one of a pair's certificates.
func expiring(days int) change {
	return func(c *x509.Certificate) { c.NotAfter = day.AddDate(0, 0, days).Add(time.Hour) }
}
