package tlsprobe

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/reach"
)

// acceptance is what a server accepts beside what it chose.
type acceptance struct {
	asked    bool
	versions []string // ascending: "1.2", "1.3"
	old      []string // those below the floor: "TLS 1.0"
	weak     string   // a suite that nobody should accept any more
}

// scanTimeout bounds one of the further handshakes.
const scanTimeout = 5 * time.Second

// hopeless are the suites by ciphers that are broken in practice (RFC 7465,
// RFC 8429 and SWEET32).
var hopeless = []uint16{
	tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA,
	tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA,
}

// accepts makes one further handshake a version, and one with broken suites
// alone: four at most. What it cannot find out it leaves out.
func (r *run) accepts(ctx context.Context) error {
	r.extra.asked = true
	for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		ok := v == r.session.state.Version
		if !ok {
			config := r.config()
			config.MinVersion, config.MaxVersion = v, v
			_, err := r.try(ctx, "tls "+version(v), config)
			if errors.Is(err, reach.ErrStopped) {
				return err
			}
			ok = err == nil
		}
		if !ok {
			continue
		}
		r.extra.versions = append(r.extra.versions, version(v))
		if v < r.floor {
			r.extra.old = append(r.extra.old, "TLS "+version(v))
		}
	}
	config := r.config()
	config.MaxVersion, config.CipherSuites = tls.VersionTLS12, hopeless
	state, err := r.try(ctx, "tls weak", config)
	if errors.Is(err, reach.ErrStopped) {
		return err
	}
	if err == nil {
		r.extra.weak = tls.CipherSuiteName(state.CipherSuite)
	}
	r.env.Record.Annotate(ctx,
		probes.Attr{Key: "gengfu.tls.versions", Value: slices.Clone(r.extra.versions)},
		probes.Attr{Key: "gengfu.tls.weak_cipher", Value: r.extra.weak})
	return nil
}

// try makes one further handshake. That it fails is no failure of the service
// but the answer to a question, so its span has no error.
func (r *run) try(ctx context.Context, name string, config *tls.Config) (tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	start := time.Now()
	state, err := r.attempt(ctx, config)
	if errors.Is(ctx.Err(), context.Canceled) {
		return state, reach.ErrStopped
	}
	r.env.Record.Phase(ctx, probes.Phase{Name: name, Start: start, End: time.Now(), Attrs: []probes.Attr{
		{Key: "tls.established", Value: err == nil},
	}})
	return state, err
}

func (r *run) attempt(ctx context.Context, config *tls.Config) (tls.ConnectionState, error) {
	conn, err := r.env.Dial(ctx, "tcp", net.JoinHostPort(r.line.IP.String(), r.port))
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	client := tls.Client(conn, config)
	if err := client.HandshakeContext(ctx); err != nil {
		return tls.ConnectionState{}, err
	}
	return client.ConnectionState(), nil
}
