package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// page is what the target answers: a small Chinese page such as services have.
var page = []byte(`<!DOCTYPE html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>社保个人权益记录查询</title>
<link rel="stylesheet" href="/app.css"></head>
<body><header><a href="/">首页</a> <a href="/news">通知公告</a> <a href="/help">办事指南</a></header>
<main><h1>社保个人权益记录查询</h1><p>请选择查询年度，系统将显示该年度的缴费明细与累计缴费月数。</p>
<form action="/query" method="post"><label>年度 <select name="year">` +
	strings.Repeat(`<option>2025</option>`, 8) + `</select></label><button>查询</button></form>
<ul>` + strings.Repeat(`<li>本页数据由经办机构于每月五日更新，如有疑问请拨打服务热线。</li>`, 6) + `</ul></main>
<footer>示例市社会保险经办中心</footer></body></html>
`)

// target is the server that all probe. It counts what it served.
type target struct {
	served, opened atomic.Int64
	servers        []*http.Server
	wg             sync.WaitGroup
}

func newTarget(ctx context.Context, o order) (part, reply, error) {
	t := &target{}
	cert, err := issue(o.CA)
	if err != nil {
		return nil, reply{}, err
	}
	protocols := []string{"http/1.1"}
	if o.HTTP2 {
		protocols = []string{"h2", "http/1.1"}
	}
	r := reply{Addr: map[string]string{}}
	for scheme, config := range map[string]*tls.Config{
		"http":  nil,
		"https": {Certificates: []tls.Certificate{cert}, NextProtos: protocols, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true},
	} {
		lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, reply{}, errors.Join(fmt.Errorf("opening the target: %w", err), t.close())
		}
		s := &http.Server{
			Handler: http.HandlerFunc(t.serve), TLSConfig: config, ReadHeaderTimeout: time.Minute,
			ErrorLog:  log.New(os.Stderr, "bench target: ", 0),
			ConnState: func(_ net.Conn, s http.ConnState) { t.state(s) },
		}
		if config != nil && !o.HTTP2 {
			s.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
		}
		t.servers = append(t.servers, s)
		t.wg.Go(func() {
			if config == nil {
				_ = s.Serve(lis)
			} else {
				_ = s.ServeTLS(lis, "", "")
			}
		})
		r.Addr[scheme] = scheme + "://" + lis.Addr().String() + "/"
	}
	return t, r, nil
}

func (t *target) state(s http.ConnState) {
	if s == http.StateNew {
		t.opened.Add(1)
	}
}

func (t *target) serve(w http.ResponseWriter, _ *http.Request) {
	t.served.Add(1)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page) // a probe may go at any time
}

// answer tells how many requests were served since last asked. Each had a
// connection of its own, or the comparison would not be one.
func (t *target) answer(context.Context, order) (reply, error) {
	served, opened := t.served.Swap(0), t.opened.Swap(0)
	if served != opened {
		return reply{}, fmt.Errorf("served %d requests over %d connections: want a fresh one each", served, opened)
	}
	return reply{Count: int(served)}, nil
}

func (t *target) close() error {
	var errs []error
	for _, s := range t.servers {
		errs = append(errs, s.Close())
	}
	t.wg.Wait()
	return errors.Join(errs...)
}

// issue makes a certificate for 127.0.0.1, signed by an authority whose own it
// writes to caFile.
func issue(caFile string) (tls.Certificate, error) {
	wrap := func(err error) (tls.Certificate, error) {
		return tls.Certificate{}, fmt.Errorf("making the target's certificate: %w", err)
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return wrap(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return wrap(err)
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Bench Root"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "bench.example.test"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 6, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return wrap(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		return wrap(err)
	}
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), 0o600); err != nil {
		return wrap(err)
	}
	return tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}, nil
}

// rootsIn reads a file of certificates.
func rootsIn(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the target's authority: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return roots, nil
}
