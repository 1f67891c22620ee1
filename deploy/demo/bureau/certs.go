package bureau

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// certs are two certificates for the same names, one of them expired.
type certs struct {
	caFile        string
	good, expired *tls.Certificate
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// makeCerts reuses the authority in dir, so that agents which trust it may
// outlive the bureau, and makes new certificates for the names.
func makeCerts(dir string, names []string) (*certs, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder for certificates: %w", err)
	}
	c := &certs{caFile: filepath.Join(dir, "ca.pem")}
	ca, err := loadAuthority(c.caFile, filepath.Join(dir, "ca-key.pem"))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if c.good, err = ca.issue(names, now.Add(-24*time.Hour), now.AddDate(0, 0, 180)); err != nil {
		return nil, err
	}
	if c.expired, err = ca.issue(names, now.AddDate(-1, 0, -1), now.AddDate(0, 0, -1)); err != nil {
		return nil, err
	}
	return c, nil
}

func loadAuthority(certFile, keyFile string) (*authority, error) {
	certPEM, err := os.ReadFile(certFile)
	if errors.Is(err, fs.ErrNotExist) {
		return newAuthority(certFile, keyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the demo authority: %w", err)
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("reading the demo authority's key: %w; remove %s to make a new one", err, certFile)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("reading the demo authority in %s: %w; remove it to make a new one", certFile, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || pair.Leaf == nil || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("reading the demo authority in %s: it is not one of ours; remove it to make a new one", certFile)
	}
	return &authority{cert: pair.Leaf, key: key}, nil
}

func newAuthority(certFile, keyFile string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the demo authority's key: %w", err)
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{Organization: []string{"Demo Bureau"}, CommonName: "Demo Bureau Root CA"},
		NotBefore:    now.AddDate(-2, 0, 0), NotAfter: now.AddDate(2, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("making the demo authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the new demo authority: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the demo authority's key: %w", err)
	}
	// The key first: a certificate without its key would stop the next start.
	for _, f := range []struct {
		name, kind string
		der        []byte
		mode       os.FileMode
	}{{keyFile, "PRIVATE KEY", keyDER, 0o600}, {certFile, "CERTIFICATE", der, 0o644}} {
		if err := os.WriteFile(f.name, pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), f.mode); err != nil {
			return nil, fmt.Errorf("writing the demo authority: %w", err)
		}
	}
	return &authority{cert: cert, key: key}, nil
}

func (a *authority) issue(names []string, from, to time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a certificate's key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a certificate's number: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"Demo Bureau"}, CommonName: names[0]},
		DNSNames:     names, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}, nil
}

// tlsConfig picks the certificate by name and site.
func (b *Bureau) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		// A connection must be of one request's kind to be cut; HTTP/2 shares it.
		NextProtos: []string{"http/1.1"},
		// A resumed session shows no certificate, so none could expire.
		SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			site := b.siteAddr(hello.Conn.LocalAddr())
			for _, s := range services {
				if s.TLS && s.Host == hello.ServerName && b.switches.seen(s, site) == FaultExpiredCert {
					return b.certs.expired, nil
				}
			}
			return b.certs.good, nil
		},
	}
}
