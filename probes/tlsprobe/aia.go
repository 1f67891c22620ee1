package tlsprobe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/reach"
)

// The bounds of repairing a chain.
const (
	maxFetches   = 4        // certificates fetched in one run
	maxSources   = 2        // addresses tried for one certificate
	maxHops      = 2        // redirects followed for one address
	maxBody      = 64 << 10 // bytes of one reply
	maxBundle    = 16       // certificates of one reply that are looked at
	fetchTimeout = 5 * time.Second
)

// errInward says that a certificate leads further inside than its site is.
var errInward = errors.New("the certificate leads to an address further inside than its site; it was not asked")

// repair fetches what is missing of the chain by AIA (RFC 5280 section 4.2.2.1),
// as browsers do, until it leads to a trusted root or no further.
func (r *run) repair(ctx context.Context) error {
	c := &r.chain
	client := r.fetcher()
	defer client.CloseIdleConnections()
	for range maxFetches {
		top := c.top()
		if c.trusted() || selfIssued(top) || len(top.IssuingCertificateURL) == 0 {
			break
		}
		issuer, from := r.fetchIssuer(ctx, client, top)
		if c.source == "" || issuer == nil {
			c.source = from
		}
		if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
			return reach.ErrStopped
		}
		if issuer == nil {
			break
		}
		c.fetched = append(c.fetched, issuer)
		c.path = c.walk()
		c.verify()
	}
	r.env.Record.Annotate(ctx,
		probes.Attr{Key: "gengfu.tls.chain.repaired", Value: c.repaired()},
		probes.Attr{Key: "gengfu.tls.chain.missing", Value: nameOf(c.orphan.Issuer)})
	return nil
}

// fetchIssuer tries the addresses under which a certificate names its issuer.
// Without success it returns the first of them.
func (r *run) fetchIssuer(ctx context.Context, client *http.Client, c *x509.Certificate) (*x509.Certificate, string) {
	sources := c.IssuingCertificateURL[:min(len(c.IssuingCertificateURL), maxSources)]
	for _, source := range sources {
		start := time.Now()
		found, err := r.fetch(ctx, client, source)
		at := slices.IndexFunc(found, func(o *x509.Certificate) bool { return issued(o, c) })
		if err == nil && at < 0 {
			err = errors.New("what came is not the issuer's certificate")
		}
		p := probes.Phase{Name: "aia", Start: start, End: time.Now(), Attrs: []probes.Attr{{Key: "url.full", Value: probes.Excerpt(source)}}}
		if err != nil {
			p.Class = probes.ClassTLS
			p.Err = &probes.Failure{Class: p.Class, Phrase: probes.PhraseChainMissing, Want: nameOf(c.Issuer), Got: probes.Excerpt(source)}
			p.Attrs = append(p.Attrs, probes.Attr{Key: "gengfu.aia.error", Value: probes.Excerpt(err.Error())})
		}
		r.env.Record.Phase(ctx, p)
		if err == nil {
			return found[at], probes.Excerpt(source)
		}
	}
	return nil, probes.Excerpt(sources[0])
}

// fetcher makes a client of HTTP alone that looks names up and connects as the
// probe does, and that no site can send inside unless the site is there itself.
func (r *run) fetcher() *http.Client {
	env, bound := r.env, depthOf(r.line.IP)
	env.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		// The address that is checked is the one that is spoken to: a name that
		// resolves to another the next time does not matter.
		to, err := netip.ParseAddrPort(addr)
		if err != nil || depthOf(to.Addr()) > bound {
			return nil, errInward
		}
		return r.env.Dial(ctx, network, addr)
	}
	dial := func(ctx context.Context, _, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("reading the address: %w", err)
		}
		line := reach.Line{Env: env}
		return line.Connect(ctx, host, port, reach.Any)
	}
	return &http.Client{
		Timeout: fetchTimeout,
		Transport: &http.Transport{
			DialContext:            dial,
			TLSClientConfig:        &tls.Config{RootCAs: r.env.Roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxHops {
				return fmt.Errorf("more than %d redirects", maxHops)
			}
			return nil
		},
	}
}

func (r *run) fetch(ctx context.Context, client *http.Client, source string) ([]*x509.Certificate, error) {
	u, err := url.Parse(source)
	if err != nil {
		return nil, errors.New("the address cannot be read")
	}
	u.User = nil
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("User-Agent", strings.TrimSpace("Gengfu synthetic probe "+r.env.UserAgentSuffix))
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetching the issuer: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetching the issuer: HTTP %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading the issuer: %w", err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("the reply is longer than %d bytes", maxBody)
	}
	return readCertificates(body)
}

// readCertificates reads what AIA addresses serve: one certificate in DER, some
// in PEM, or a "certs-only" message of CMS (RFC 5652).
func readCertificates(body []byte) ([]*x509.Certificate, error) {
	var ders [][]byte
	for rest := body; len(ders) < maxBundle; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		ders = append(ders, block.Bytes)
	}
	if ders == nil {
		ders = [][]byte{body}
	}
	var out []*x509.Certificate
	for _, der := range ders {
		if c, err := x509.ParseCertificate(der); err == nil {
			out = append(out, c)
		} else if more, ok := certsOnly(der); ok {
			out = append(out, more...)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("the reply is no certificate")
	}
	return out[:min(len(out), maxBundle)], nil
}

var oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}

// certsOnly reads the certificates of a CMS message. Its signature, if any, does
// not matter: the certificates speak for themselves.
func certsOnly(der []byte) ([]*x509.Certificate, bool) {
	var info struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil || !info.Type.Equal(oidSignedData) {
		return nil, false
	}
	var data struct {
		Version      int
		Algorithms   asn1.RawValue
		Encapsulated asn1.RawValue
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		CRLs         asn1.RawValue `asn1:"optional,tag:1"`
		Signers      asn1.RawValue
	}
	if _, err := asn1.Unmarshal(info.Content.Bytes, &data); err != nil {
		return nil, false
	}
	certs, err := x509.ParseCertificates(data.Certificates.Bytes)
	return certs, err == nil && len(certs) > 0
}
