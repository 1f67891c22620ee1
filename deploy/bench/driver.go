package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// driver asks a blackbox exporter for probes, as Prometheus does: over
// connections that stay open.
type driver struct {
	first  order // Path is the exporter's address
	client *http.Client
}

func newDriver(_ context.Context, o order) (part, reply, error) {
	return &driver{first: o, client: &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
	}}, reply{}, nil
}

func (d *driver) answer(ctx context.Context, o order) (reply, error) {
	target := d.first.Plain
	if o.TLS {
		target = d.first.Secure
	}
	address := d.first.Path + "/probe?" + url.Values{"module": {"bench"}, "target": {target}}.Encode()
	return reply{Count: o.N}, loop(o, func(int) error { return d.ask(ctx, address) })
}

func (d *driver) ask(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("asking the exporter: %w", err)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the exporter: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("reading the exporter's answer: %w", err)
	}
	if !strings.Contains(string(text), "\nprobe_success 1\n") {
		return errors.New("the exporter says that the target is down:\n" + string(text))
	}
	return nil
}

func (d *driver) close() error {
	d.client.CloseIdleConnections()
	return nil
}
