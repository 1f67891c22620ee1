package httpprobe

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"

	"github.com/gengfu/gengfu/probes"
)

// readBounded reads at most limit bytes of a body, which says that it has
// length bytes, or -1. cut says that there was more.
func readBounded(body io.Reader, length, limit int64) (b []byte, cut bool, err error) {
	size := int64(512)
	if length >= 0 {
		size = length
	}
	// One byte more than there should be, to meet the end without growing.
	b = make([]byte, 0, min(size, limit, 1<<20)+1)
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := body.Read(b[len(b):min(int64(cap(b)), limit+1)])
		b = b[:len(b)+n]
		if int64(len(b)) > limit {
			return b[:limit], true, nil
		}
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return b, false, nil
		}
		if err != nil {
			return b, false, err
		}
	}
}

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
		if err != nil && cut {
			return b, true, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
	return b, cut, nil
}

func unsupported(encoding string) error {
	return &probes.Failure{Class: probes.ClassEncoding, Phrase: probes.PhraseCompression, Want: "gzip", Got: probes.Excerpt(encoding)}
}

func inflateOnce(raw []byte, encoding string, limit int64) (b []byte, cut bool, err error) {
	from := bytes.NewReader(raw)
	var r io.Reader
	switch encoding {
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(from)
	case "deflate":
		if len(raw) >= 2 && raw[0]&0x0f == 8 && (int(raw[0])<<8|int(raw[1]))%31 == 0 {
			r, err = zlib.NewReader(from)
		} else {
			r = flate.NewReader(from) // some servers send it without its zlib frame
		}
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
