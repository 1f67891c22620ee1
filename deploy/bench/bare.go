package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// bare is the least that a prober in Go can do: net/http with fresh connections,
// and the instants of its phases.
type bare struct {
	first order
	roots *x509.CertPool
}

func newBare(_ context.Context, o order) (part, reply, error) {
	roots, err := rootsIn(o.CA)
	return &bare{first: o, roots: roots}, reply{}, err
}

func (b *bare) answer(ctx context.Context, o order) (reply, error) {
	address := b.first.Plain
	if o.TLS {
		address = b.first.Secure
	}
	return reply{Count: o.N}, loop(o, func(int) error { return b.probe(ctx, address) })
}

// loop does f n times, by so many workers at one time, each beginning anew as
// soon as it is done. The first error ends it.
func loop(o order, f func(i int) error) error {
	var (
		next  atomic.Int64
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	for range max(1, o.Workers) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= o.N {
					return
				}
				if err := f(i); err != nil {
					once.Do(func() { first = err })
					next.Store(int64(o.N))
					return
				}
			}
		})
	}
	wg.Wait()
	return first
}

func (b *bare) probe(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var (
		mu                                           sync.Mutex
		connect, connected, shake, shaken, wrote, at time.Time
	)
	note := func(t *time.Time) {
		mu.Lock()
		*t = time.Now()
		mu.Unlock()
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectStart:         func(string, string) { note(&connect) },
		ConnectDone:          func(string, string, error) { note(&connected) },
		TLSHandshakeStart:    func() { note(&shake) },
		TLSHandshakeDone:     func(tls.ConnectionState, error) { note(&shaken) },
		WroteRequest:         func(httptrace.WroteRequestInfo) { note(&wrote) },
		GotFirstResponseByte: func() { note(&at) },
	})
	transport := &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: b.roots, MinVersion: tls.VersionTLS12},
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("making a bare request: %w", err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("probing barely: %w", err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || n == 0 {
		return fmt.Errorf("probing barely: status %d, %d bytes, error %w", resp.StatusCode, n, err)
	}
	return nil
}

func (b *bare) close() error { return nil }
