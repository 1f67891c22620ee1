// Package bureau is a made-up city bureau on loopback: the public services that
// a demo fleet watches, with faults to switch on. It listens on one address a
// site, so that it knows from the address where a visitor comes from, and a
// service can be lost from one site only. All names in it are invented.
package bureau

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options say where the bureau listens. Only Addrs and CertDir are required.
type Options struct {
	Addrs   []string      // one loopback address a site, e.g. "127.0.2.1"
	Names   []string      // what people call the sites, in the order of Addrs; empty: their addresses
	Port    int           // of HTTP, the same on every address; 0 takes a free one
	TLSPort int           // of HTTPS, likewise
	Control string        // host:port of the switches; "" is "127.0.0.1:0"
	CertDir string        // where ca.pem is written
	Delay   time.Duration // of the fault "slow"; 0 is 3 seconds
	Logger  *slog.Logger  // nil is slog.Default
}

func (o Options) validate() error {
	var errs []error
	if len(o.Addrs) == 0 {
		errs = append(errs, errors.New("addresses: want at least one, got none"))
	}
	for i, a := range o.Addrs {
		if ip := net.ParseIP(a); ip == nil || !ip.IsLoopback() {
			errs = append(errs, fmt.Errorf("addresses: want loopback addresses such as 127.0.2.1, got %q", a))
		}
		if slices.Contains(o.Addrs[:i], a) {
			errs = append(errs, fmt.Errorf("addresses: %s is given twice; every site needs its own", a))
		}
	}
	if len(o.Names) > 0 && len(o.Names) != len(o.Addrs) {
		errs = append(errs, fmt.Errorf("names: want one for each of %d addresses, got %d", len(o.Addrs), len(o.Names)))
	}
	if o.CertDir == "" {
		errs = append(errs, errors.New("certificates: want a folder for ca.pem, got none"))
	}
	if o.Delay < 0 {
		errs = append(errs, fmt.Errorf("delay: want a length of time, got %s", o.Delay))
	}
	return errors.Join(errs...)
}

// Bureau serves the services, the switches and the alerts it was sent.
type Bureau struct {
	addrs    []string
	names    []string // empty, or one for each address
	delay    time.Duration
	log      *slog.Logger
	pages    map[string]*template.Template
	certs    *certs
	switches *Switches
	alerts   *inbox

	plain, secure []net.Listener
	control       net.Listener
}

// New makes the certificates and opens every listener; Run serves them.
func New(o Options) (*Bureau, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("starting the demo bureau: %w", err)
	}
	b := &Bureau{
		addrs:    slices.Clone(o.Addrs),
		names:    slices.Clone(o.Names),
		delay:    cmp.Or(o.Delay, 3*time.Second),
		log:      cmp.Or(o.Logger, slog.Default()),
		switches: newSwitches(o.Addrs),
		alerts:   &inbox{},
	}
	var err error
	if b.pages, err = loadPages(); err != nil {
		return nil, err
	}
	if b.certs, err = makeCerts(o.CertDir, hosts()); err != nil {
		return nil, err
	}
	if err := b.listen(o); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *Bureau) listen(o Options) (err error) {
	if b.plain, err = listenAll(o.Addrs, o.Port); err != nil {
		return err
	}
	if b.secure, err = listenAll(o.Addrs, o.TLSPort); err != nil {
		return err
	}
	if b.control, err = net.Listen("tcp", cmp.Or(o.Control, "127.0.0.1:0")); err != nil {
		return fmt.Errorf("opening the control port: %w", err)
	}
	return nil
}

// listenAll opens one port on every address. A port of 0 is chosen on the first
// address and must be free on the others too; it is chosen again where it is not.
func listenAll(addrs []string, port int) ([]net.Listener, error) {
	const tries = 20
	var err error
	for range tries {
		var all []net.Listener
		chosen := port
		for _, a := range addrs {
			var l net.Listener
			if l, err = net.Listen("tcp", net.JoinHostPort(a, strconv.Itoa(chosen))); err != nil {
				break
			}
			all = append(all, l)
			chosen = l.Addr().(*net.TCPAddr).Port
		}
		if err == nil {
			return all, nil
		}
		closeAll(all)
		if port != 0 {
			break
		}
	}
	return nil, fmt.Errorf("opening port %d on %v: %w", port, addrs, err)
}

func closeAll(list []net.Listener) {
	for _, l := range list {
		l.Close()
	}
}

func (b *Bureau) close() {
	closeAll(b.plain)
	closeAll(b.secure)
	if b.control != nil {
		b.control.Close()
	}
}

// Port is the port of HTTP on every address.
func (b *Bureau) Port() int { return b.plain[0].Addr().(*net.TCPAddr).Port }

// TLSPort is the port of HTTPS on every address.
func (b *Bureau) TLSPort() int { return b.secure[0].Addr().(*net.TCPAddr).Port }

// Control is the host:port of the switches.
func (b *Bureau) Control() string { return b.control.Addr().String() }

// CAFile is the PEM file of the authority that signed the certificates.
func (b *Bureau) CAFile() string { return b.certs.caFile }

// Faults are the switches.
func (b *Bureau) Faults() *Switches { return b.switches }

// Run serves until ctx ends and every connection is closed.
func (b *Bureau) Run(ctx context.Context) error {
	// The group's context ends with the first failure, so that nothing half runs.
	g, ctx := errgroup.WithContext(ctx)
	public, control := b.server(ctx, b), b.server(ctx, b.controlHandler())
	serve := func(s *http.Server, l net.Listener) {
		g.Go(func() error {
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving on %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	for _, l := range b.plain {
		serve(public, l)
	}
	for _, l := range b.secure {
		serve(public, tls.NewListener(l, b.tlsConfig()))
	}
	serve(control, b.control)
	g.Go(func() error {
		<-ctx.Done()
		// A visitor that hangs by a fault would keep a patient shutdown waiting.
		return errors.Join(public.Close(), control.Close())
	})
	b.log.Info("the demo bureau is open", "addresses", b.addrs, "port", b.Port(), "tls_port", b.TLSPort(), "control", b.Control())
	return g.Wait()
}

func (b *Bureau) server(ctx context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(b.log.Handler(), slog.LevelDebug),
	}
}

// siteAddr is the address, as configured, that a connection came in on; "" for none.
func (b *Bureau) siteAddr(local net.Addr) string {
	tcp, ok := local.(*net.TCPAddr)
	if !ok {
		return ""
	}
	if at := slices.Index(b.addrs, tcp.IP.String()); at >= 0 {
		return b.addrs[at]
	}
	return ""
}
