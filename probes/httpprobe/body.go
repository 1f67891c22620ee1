package httpprobe

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"

	"github.com/gengfu/gengfu/probes"
)

// readBounded reads and inflates a body, at most limit bytes of it on either
// side: a body without end or a few bytes that inflate to gigabytes cost no more.
// cut says that there was more.
func readBounded(body io.Reader, encoding string, limit int64) (b []byte, cut bool, err error) {
	wire := &io.LimitedReader{R: body, N: limit + 1}
	inflated, err := inflate(wire, encoding)
	if err == nil {
		b, err = io.ReadAll(io.LimitReader(inflated, limit+1))
	}
	if int64(len(b)) > limit {
		return b[:limit], true, nil
	}
	if wire.N <= 0 {
		// Our own bound cut the compressed stream, not the peer.
		return b, true, nil
	}
	return b, false, err
}

func inflate(r io.Reader, encoding string) (io.Reader, error) {
	encoding = strings.ToLower(strings.TrimSpace(encoding))
	switch encoding {
	case "", "identity":
		return r, nil
	case "gzip", "x-gzip", "deflate":
	default:
		return nil, &probes.Failure{Class: probes.ClassEncoding, Phrase: probes.PhraseCompression, Want: "gzip", Got: probes.Excerpt(encoding)}
	}
	buffered := bufio.NewReader(r)
	// A reply without a body, such as one to HEAD, has nothing to inflate.
	head, err := buffered.Peek(2)
	if errors.Is(err, io.EOF) && len(head) == 0 {
		return buffered, nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var out io.Reader
	switch {
	case encoding != "deflate":
		out, err = gzip.NewReader(buffered)
	case len(head) == 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0:
		out, err = zlib.NewReader(buffered)
	default:
		// Some servers send deflate without its zlib frame.
		return flate.NewReader(buffered), nil
	}
	if err != nil {
		return nil, broken(encoding, err)
	}
	return checked{out, encoding}, nil
}

// checked tells a damaged stream from a cut connection.
type checked struct {
	io.Reader
	encoding string
}

func (c checked) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	return n, broken(c.encoding, err)
}

func broken(encoding string, err error) error {
	var corrupt flate.CorruptInputError
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum) || errors.As(err, &corrupt) {
		return &probes.Failure{Class: probes.ClassEncoding, Phrase: probes.PhraseCompressed, Want: encoding, Got: err.Error()}
	}
	return err
}
