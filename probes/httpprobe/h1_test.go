package httpprobe

import (
	"bufio"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
)

// cutOff is a connection that ends with err after some text.
type cutOff struct {
	net.Conn
	text string
	err  error
}

func (c *cutOff) Read(b []byte) (int, error) {
	if c.text == "" {
		return 0, c.err
	}
	n := copy(b, c.text)
	c.text = c.text[n:]
	return n, nil
}

// Where a line of the head is cut, what cut it counts, not what is left of the line.
func TestWhatCutsTheHeadCounts(t *testing.T) {
	for _, text := range []string{"HTTP/1.1 200 OK\r\nX-", "HTT", "HTTP/1.1 200 OK\r\nX-A: b\r\n"} {
		for err, want := range map[error]probes.Class{
			os.ErrDeadlineExceeded: probes.ClassTimeout,
			syscall.ECONNRESET:     probes.ClassReset,
		} {
			w := &wire{reader: bufio.NewReader(nil), from: limited{Conn: &cutOff{text: text, err: err}, n: maxHead}}
			w.reader.Reset(&w.from)
			h := &hop{ask: ask{method: "GET"}}
			_, got := h.head(w)
			require.Equal(t, want, classOf(t.Context(), "first_byte", got), "%q, %v: %v", text, err, got)
		}
	}
	w := &wire{reader: bufio.NewReader(nil), from: limited{Conn: &cutOff{text: "SSH-2.0-x\r\n", err: io.EOF}, n: maxHead}}
	w.reader.Reset(&w.from)
	_, err := (&hop{ask: ask{method: "GET"}}).head(w)
	require.Equal(t, probes.ClassContent, classOf(t.Context(), "first_byte", err))
}
