package tlsprobe

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/emmansun/gmsm/smx509"

	"github.com/gengfu/gengfu/probes"
)

// trust is which roots a definition trusts.
type trust struct {
	system bool                  // those of the agent
	certs  []*x509.Certificate   // and these
	sm     []*smx509.Certificate // and these, of SM2, for TLCP
	caFile string                // and those in this file on the agent
}

// anchors are the roots of one run.
type anchors struct {
	pool *x509.CertPool   // nil means the host's
	sm   *smx509.CertPool // nil when none is known: nothing can be told then
}

// roots reads the entries of roots: "system", certificates in PEM, or the path of
// a file beside the definitions.
func (c *checker) roots(entries words, caFile string) trust {
	t := trust{system: len(entries) == 0, caFile: caFile}
	if len(entries) > maxRoots {
		c.Mistake("roots", "want at most %d entries, got %d; put several certificates into one", maxRoots, len(entries))
		return t
	}
	for i, entry := range entries {
		key := fmt.Sprintf("roots[%d]", i)
		text := entry
		switch {
		case entry == "system":
			t.system = true
			continue
		case !strings.Contains(entry, "-----BEGIN"):
			data, err := c.file(entry)
			if err != nil {
				c.Mistake(key, "want system, certificates in PEM, or the path of a file beside the definitions such as roots/ca.pem, got %q: %v", probes.Excerpt(entry), err)
				continue
			}
			text = string(data)
		}
		if err := t.add([]byte(text)); err != nil {
			c.Mistake(key, "%v", err)
		}
	}
	return t
}

// file reads a file beside the definitions, where the settings offer that.
func (c *checker) file(name string) ([]byte, error) {
	if f, ok := c.Settings.(probes.Files); ok {
		return f.File(name)
	}
	return nil, errors.New("there are no files here")
}

// add takes every certificate of a PEM text.
func (t *trust) add(text []byte) error {
	before := len(t.certs) + len(t.sm)
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("want certificates, got %q", probes.Excerpt(block.Type))
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			t.certs = append(t.certs, cert)
			continue
		}
		cert, err := parseSM(block.Bytes)
		if err != nil {
			return fmt.Errorf("want certificates in PEM, got one that cannot be read: %w", err)
		}
		t.sm = append(t.sm, cert)
	}
	if len(t.certs)+len(t.sm) == before {
		return errors.New("want certificates in PEM, got none")
	}
	return nil
}

// anchors makes the pools of one run. Its error is the agent's fault.
func (t trust) anchors(host *x509.CertPool) (anchors, error) {
	if t.caFile != "" {
		text, err := os.ReadFile(t.caFile)
		if err != nil {
			return anchors{}, fmt.Errorf("reading ca_file: %w", err)
		}
		t.certs, t.sm = t.certs[:len(t.certs):len(t.certs)], t.sm[:len(t.sm):len(t.sm)]
		if err := t.add(text); err != nil {
			return anchors{}, fmt.Errorf("reading ca_file %s: %w", t.caFile, err)
		}
	}
	a := anchors{pool: host}
	if len(t.sm) > 0 {
		a.sm = smx509.NewCertPool()
		for _, c := range t.sm {
			a.sm.AddCert(c)
		}
	}
	switch {
	case !t.system:
		a.pool = x509.NewCertPool()
	case len(t.certs) == 0:
		return a, nil
	case host == nil:
		var err error
		if a.pool, err = x509.SystemCertPool(); err != nil {
			return anchors{}, fmt.Errorf("reading the host's certificates: %w", err)
		}
	default:
		a.pool = host.Clone()
	}
	for _, c := range t.certs {
		a.pool.AddCert(c)
	}
	return a, nil
}
