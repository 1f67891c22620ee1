package httpprobe

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/gengfu/gengfu/probes"
)

// maxEncodings bounds how often a body may have been compressed.
const maxEncodings = 3

// inflate undoes the encodings of a body, the last applied first, with at most
// limit bytes after each: a few bytes that inflate to gigabytes cost no more.
// wasCut says that raw ends early, by our own bound and not the peer's.
func inflate(raw []byte, headers []string, limit int64, wasCut bool) (b []byte, cut bool, err error) {
	if len(headers) == 0 || len(raw) == 0 {
		// A reply without a body, such as one to HEAD, has nothing to inflate.
		return raw, wasCut, nil
	}
	var encodings []string
	for e := range strings.SplitSeq(strings.ToLower(strings.Join(headers, ",")), ",") {
		if e = strings.TrimSpace(e); e != "" && e != "identity" {
			encodings = append(encodings, e)
		}
	}
	if len(encodings) > maxEncodings {
		return nil, false, unsupported(strings.Join(encodings, ", "))
	}
	b, cut = raw, wasCut
	for i := len(encodings) - 1; i >= 0; i-- {
		var more bool
		b, more, err = inflateOnce(b, encodings[i], limit)
		cut = cut || more
		var failure *probes.Failure
		switch {
		case err == nil:
		case cut && !(errors.As(err, &failure) && failure.Phrase == probes.PhraseCompression):
			return b, true, nil // it is the cut that it meets
		default:
			return nil, false, err
		}
	}
	return b, cut, nil
}

func unsupported(encoding string) error {
	return &probes.Failure{Class: probes.ClassEncoding, Phrase: probes.PhraseCompression, Want: "gzip", Got: probes.Excerpt(encoding)}
}

var errNoGzip = fmt.Errorf("%w: shorter than its header", gzip.ErrHeader)

// The readers of the costly formats are kept for the next body.
var (
	gzips   = sync.Pool{New: func() any { return new(gzip.Reader) }}
	brotlis = sync.Pool{New: func() any { return brotli.NewReader(nil) }}
)

// maxWindow bounds what a zstd frame may have the agent remember (RFC 8878,
// section 3.1.1.1.2, asks for 8 MiB), in bytes.
const maxWindow = 8 << 20

func inflateOnce(raw []byte, encoding string, limit int64) (b []byte, cut bool, err error) {
	from := bytes.NewReader(raw)
	var r io.Reader
	switch encoding {
	case "gzip", "x-gzip":
		z := gzips.Get().(*gzip.Reader)
		defer gzips.Put(z)
		r, err = z, z.Reset(from)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errNoGzip // shorter than a header: nothing that was cut, if all came
		}
	case "deflate":
		if len(raw) >= 2 && raw[0]&0x0f == 8 && (int(raw[0])<<8|int(raw[1]))%31 == 0 {
			r, err = zlib.NewReader(from)
		} else {
			r = flate.NewReader(from) // some servers send it without its zlib frame
		}
	case "br":
		z := brotlis.Get().(*brotli.Reader)
		defer brotlis.Put(z)
		r, err = z, z.Reset(from)
	case "zstd":
		z, errOpen := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if errOpen != nil {
			return nil, false, fmt.Errorf("making a zstd reader: %w", errOpen)
		}
		defer z.Close()
		r = z
	default:
		return nil, false, unsupported(encoding)
	}
	if err == nil {
		b, cut, err = readBounded(r, -1, limit)
	}
	return b, cut, broken(encoding, err)
}

// broken tells a damaged stream from a cut connection.
func broken(encoding string, err error) error {
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return err
	}
	return &probes.Failure{Class: probes.ClassEncoding, Phrase: probes.PhraseCompressed, Want: encoding, Got: probes.Excerpt(err.Error())}
}
