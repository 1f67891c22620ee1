package httpprobe

import (
	"errors"
	"io"
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
