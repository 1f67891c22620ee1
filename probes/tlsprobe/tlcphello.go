package tlsprobe

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// The parts of TLCP (GB/T 38636-2020) that a greeting needs. Its messages are
// those of TLS 1.1 with another version, suites and a certificate more.
const (
	tlcpVersion = 0x0101

	recordAlert     = 21
	recordHandshake = 22

	messageClientHello = 1
	messageServerHello = 2
	messageCertificate = 11

	extensionServerName = 0
)

// offeredSuites are what the probe offers. ECC comes first: ECDHE asks the client
// for certificates of its own.
var offeredSuites = []uint16{0xe053, 0xe013, 0xe051, 0xe011}

// tlcpSuites are the suites of GB/T 38636-2020, table 2.
var tlcpSuites = map[uint16]string{
	0xe011: "ECDHE_SM4_CBC_SM3", 0xe051: "ECDHE_SM4_GCM_SM3",
	0xe013: "ECC_SM4_CBC_SM3", 0xe053: "ECC_SM4_GCM_SM3",
	0xe015: "IBSDH_SM4_CBC_SM3", 0xe055: "IBSDH_SM4_GCM_SM3",
	0xe017: "IBC_SM4_CBC_SM3", 0xe057: "IBC_SM4_GCM_SM3",
	0xe019: "RSA_SM4_CBC_SM3", 0xe059: "RSA_SM4_GCM_SM3",
	0xe01c: "RSA_SM4_CBC_SHA256", 0xe05a: "RSA_SM4_GCM_SHA256",
}

func tlcpSuite(id uint16) string {
	if name, ok := tlcpSuites[id]; ok {
		return name
	}
	return fmt.Sprintf("0x%04X", id)
}

// The bounds of an answer.
const (
	maxAnswer   = 256 << 10     // bytes of all records together
	maxRecord   = 1<<14 + 1<<11 // bytes of one record (section 6.3.3.4)
	maxEmpty    = 8             // records without content
	maxMessage  = maxAnswer     // bytes of one message
	maxTLCPSent = 16            // certificates of one answer
	maxTLCPSize = 64 << 10      // bytes of one certificate
	maxSNI      = 253           // bytes of a host's name
)

// flight is a server's answer to a ClientHello, as far as it is of use.
type flight struct {
	version      uint16
	suite        uint16
	certificates [][]byte // in DER, the signing and the encryption certificate first
}

// errNotTLCP says that a peer answered, and not in TLCP.
type errNotTLCP struct{ why string }

func (e errNotTLCP) Error() string { return e.why }

// clientHello makes the record of a ClientHello. Without a name it has no
// extensions, which strict servers do not know.
func clientHello(name string, now time.Time) ([]byte, error) {
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return nil, fmt.Errorf("making a random: %w", err)
	}
	// The first four bytes are the time (section 6.4.5.2.1).
	binary.BigEndian.PutUint32(random, uint32(now.Unix())) //nolint:gosec // its lower 32 bits are asked for
	var b cryptobyte.Builder
	b.AddUint8(recordHandshake)
	b.AddUint16(tlcpVersion)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(messageClientHello)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint16(tlcpVersion)
			b.AddBytes(random)
			b.AddUint8(0) // no session
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, s := range offeredSuites {
					b.AddUint16(s)
				}
			})
			b.AddUint8(1) // one method of compression
			b.AddUint8(0) // none
			if servesName(name) {
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { addServerName(b, name) })
			}
		})
	})
	return b.Bytes()
}

// servesName reports whether a name may be asked for: an address may not (RFC 6066).
func servesName(name string) bool {
	_, err := netip.ParseAddr(name)
	return err != nil && name != "" && len(name) <= maxSNI
}

func addServerName(b *cryptobyte.Builder, name string) {
	b.AddUint16(extensionServerName)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint8(0) // a host's name
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(name)) })
		})
	})
}

// readFlight reads a server's answer up to its certificates. Whatever comes, it
// reads no more than maxAnswer bytes and keeps no more than that.
func readFlight(from io.Reader) (flight, error) {
	var f flight
	m := &messages{from: from}
	kind, body, err := m.next()
	if err != nil {
		return f, err
	}
	if kind != messageServerHello {
		return f, errNotTLCP{fmt.Sprintf("message %d in place of ServerHello", kind)}
	}
	if err := f.serverHello(body); err != nil {
		return f, err
	}
	kind, body, err = m.next()
	if err != nil {
		return f, err
	}
	if kind != messageCertificate {
		return f, errNotTLCP{fmt.Sprintf("message %d in place of Certificate", kind)}
	}
	return f, f.certificateList(body)
}

func (f *flight) serverHello(body []byte) error {
	s := cryptobyte.String(body)
	var random, session []byte
	var compression uint8
	if !s.ReadUint16(&f.version) || !s.ReadBytes(&random, 32) || !s.ReadUint8LengthPrefixed((*cryptobyte.String)(&session)) ||
		len(session) > 32 || !s.ReadUint16(&f.suite) || !s.ReadUint8(&compression) {
		return errNotTLCP{"a broken ServerHello"}
	}
	var extensions cryptobyte.String
	if !s.Empty() && (!s.ReadUint16LengthPrefixed(&extensions) || !s.Empty()) {
		return errNotTLCP{"a broken ServerHello"}
	}
	if f.version != tlcpVersion {
		return errNotTLCP{fmt.Sprintf("version 0x%04X", f.version)}
	}
	for _, offered := range offeredSuites {
		if f.suite == offered {
			return nil
		}
	}
	return errNotTLCP{"a suite that was not offered: " + tlcpSuite(f.suite)}
}

func (f *flight) certificateList(body []byte) error {
	s := cryptobyte.String(body)
	var list cryptobyte.String
	if !s.ReadUint24LengthPrefixed(&list) || !s.Empty() {
		return errNotTLCP{"a broken list of certificates"}
	}
	for !list.Empty() {
		var der cryptobyte.String
		switch {
		case !list.ReadUint24LengthPrefixed(&der) || der.Empty():
			return errNotTLCP{"a broken list of certificates"}
		case len(der) > maxTLCPSize:
			return errNotTLCP{fmt.Sprintf("a certificate of %d bytes", len(der))}
		case len(f.certificates) == maxTLCPSent:
			return errNotTLCP{fmt.Sprintf("more than %d certificates", maxTLCPSent)}
		}
		f.certificates = append(f.certificates, der)
	}
	if len(f.certificates) == 0 {
		return errNotTLCP{"no certificate"}
	}
	return nil
}

// messages puts handshake messages together from records: one may be spread over
// several, and several may be in one.
type messages struct {
	from  io.Reader
	read  int
	empty int
	buf   []byte
}

func (m *messages) next() (kind byte, body []byte, err error) {
	for {
		if len(m.buf) >= 4 {
			n := int(m.buf[1])<<16 | int(m.buf[2])<<8 | int(m.buf[3])
			if n > maxMessage {
				return 0, nil, errNotTLCP{fmt.Sprintf("a message of %d bytes", n)}
			}
			if len(m.buf) >= 4+n {
				kind, body, m.buf = m.buf[0], m.buf[4:4+n], m.buf[4+n:]
				return kind, body, nil
			}
		}
		if err := m.record(); err != nil {
			return 0, nil, err
		}
	}
}

// record reads one record and adds its content.
func (m *messages) record() error {
	head := make([]byte, 5)
	if _, err := io.ReadFull(m.from, head); err != nil {
		return err
	}
	kind, v, n := head[0], binary.BigEndian.Uint16(head[1:]), int(binary.BigEndian.Uint16(head[3:]))
	switch {
	case kind != recordHandshake && kind != recordAlert || v != tlcpVersion && v>>8 != 3:
		return errNotTLCP{fmt.Sprintf("% X", head)}
	case kind == recordAlert:
		return m.alert(n)
	case v != tlcpVersion:
		return errNotTLCP{fmt.Sprintf("version 0x%04X", v)}
	case n > maxRecord:
		return errNotTLCP{fmt.Sprintf("a record of %d bytes", n)}
	}
	if m.read += len(head) + n; m.read > maxAnswer {
		return errNotTLCP{fmt.Sprintf("more than %d bytes", maxAnswer)}
	}
	if n == 0 {
		if m.empty++; m.empty > maxEmpty {
			return errNotTLCP{"empty records without end"}
		}
		return nil
	}
	at := len(m.buf)
	m.buf = append(m.buf, make([]byte, n)...)
	_, err := io.ReadFull(m.from, m.buf[at:])
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// alert reads the alert by which a server refuses.
func (m *messages) alert(n int) error {
	body := make([]byte, 2)
	if n != len(body) {
		return errNotTLCP{"a broken alert"}
	}
	if _, err := io.ReadFull(m.from, body); err != nil {
		return err
	}
	return errAlert(body[1])
}

// errAlert is the alert by which a server refuses TLCP.
type errAlert uint8

var alerts = map[errAlert]string{
	0: "close notify", 10: "unexpected message", 20: "bad record", 40: "handshake failure", 42: "bad certificate",
	47: "illegal parameter", 50: "decode error", 70: "protocol version", 71: "insufficient security", 80: "internal error",
	86: "inappropriate fallback", 109: "missing extension", 112: "unrecognized name",
}

func (e errAlert) Error() string {
	if name, ok := alerts[e]; ok {
		return "alert: " + name
	}
	return fmt.Sprintf("alert %d", uint8(e))
}
