package tcpprobe

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/reach"
)

// exchange is one turn: what is sent, and what must come back.
type exchange struct {
	says     bool
	template string // text with ${secret:NAME}, or
	data     []byte // bytes
	until    *pattern
	within   time.Duration // 0 is the run's own end
}

// pattern is what is looked for: a regular expression, bytes, or anything.
type pattern struct {
	source  string // as the definition writes it
	re      *regexp.Regexp
	literal []byte
}

func stepName(i int) string { return "exchange " + strconv.Itoa(i+1) }

// String is the pattern as findings show it.
func (p *pattern) String() string {
	if p.source == "" {
		return "…"
	}
	return probes.Excerpt(p.source)
}

// anything reports whether any reply will do.
func (p *pattern) anything() bool { return p.re == nil && p.literal == nil }

// quiet is how long a peer that may say anything says nothing until it is taken
// to have finished. It is not counted as latency.
const quiet = 300 * time.Millisecond

// search looks for a pattern in what comes in pieces, without reading all of it
// again for each.
type search struct {
	*pattern
	from int // a literal cannot begin before
	work int // bytes the regular expression was run over
	next int // how long the reply must be until it is run again
}

// maxWork is how many bytes a regular expression is run over before it waits for
// the reply to double: a peer that drips could otherwise keep an agent computing.
const maxWork = 8 << 20

// found looks at all that came; last says that nothing more will.
func (s *search) found(all []byte, last bool) bool {
	switch {
	case s.anything():
		return last && len(all) > 0
	case s.literal != nil:
		if bytes.Contains(all[s.from:], s.literal) {
			return true
		}
		s.from = max(0, len(all)-len(s.literal)+1)
		return false
	case !last && len(all) < s.next:
		return false
	}
	s.work += len(all)
	if s.work > maxWork {
		s.next = 2 * len(all)
	}
	return s.re.Match(all)
}

// exchange sends and waits. A failure is the service's.
func (r *run) exchange(ctx context.Context, conn net.Conn, x exchange) error {
	began, deadline := time.Now(), time.Time{}
	if d, ok := ctx.Deadline(); ok {
		deadline = d
	}
	if end := began.Add(x.within); x.within > 0 && (deadline.IsZero() || end.Before(deadline)) {
		deadline = end
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return fmt.Errorf("setting the deadline of an exchange: %w", err)
	}
	if ctx.Err() != nil {
		_ = conn.SetDeadline(time.Unix(1, 0)) // it may have ended in between
	}
	if x.says {
		if err := r.send(ctx, conn, x); err != nil {
			return err
		}
	}
	if x.until == nil {
		return nil
	}
	return r.receive(ctx, conn, x, deadline)
}

func (r *run) send(ctx context.Context, conn net.Conn, x exchange) error {
	data := x.data
	if data == nil {
		text, err := probes.Expand(x.template, func(name string) (string, error) { return r.values[name], nil })
		if err != nil {
			return err
		}
		data = []byte(text)
	}
	r.spoke = true
	start := time.Now()
	_, err := conn.Write(data)
	took, err := r.Phase(ctx, "request", r.peer(), start, err, probes.Attr{Key: "gengfu.bytes", Value: len(data)})
	r.Time.Request += took
	return err
}

// receive reads until the pattern is there, in two phases: to the first byte, and
// from there on.
func (r *run) receive(ctx context.Context, conn net.Conn, x exchange, deadline time.Time) error {
	s := search{pattern: x.until}
	all := make([]byte, 0, min(4<<10, r.maxRead))
	start := time.Now()
	first, last := start, start
	var err error
	done := false
	for !done {
		if len(all) == r.maxRead {
			done = s.found(all, true)
			break
		}
		if len(all) == cap(all) {
			all = append(make([]byte, 0, min(2*cap(all), r.maxRead)), all...)
		}
		if s.anything() && len(all) > 0 {
			pause(ctx, conn, deadline)
		}
		var n int
		n, err = conn.Read(all[len(all):cap(all)])
		if n > 0 {
			if last = time.Now(); len(all) == 0 {
				first = last
			}
			all = all[:len(all)+n]
		}
		if err != nil {
			done = s.found(all, true)
			break
		}
		done = s.found(all, false)
	}
	r.heard(all)
	return r.received(ctx, x, heard{all: all, start: start, first: first, last: last, done: done, err: err})
}

// pause lets the next read wait for a moment only.
func pause(ctx context.Context, conn net.Conn, deadline time.Time) {
	soon := time.Now().Add(quiet)
	if deadline.IsZero() || soon.Before(deadline) {
		// A connection that takes no deadline ends with the run.
		_ = conn.SetReadDeadline(soon)
	}
	if ctx.Err() != nil {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// heard is what one exchange read, and how it ended.
type heard struct {
	all                []byte
	start, first, last time.Time
	done               bool
	err                error
}

func (r *run) heard(all []byte) {
	r.bytes += len(all)
	if !r.spoke {
		r.banner += r.redact.Secrets(valid(all))
	}
	r.text = all
}

// received records the phases of what was read and judges it.
func (r *run) received(ctx context.Context, x exchange, h heard) error {
	if len(h.all) == 0 {
		took, err := r.Phase(ctx, "first_byte", r.peer(), h.start, h.err)
		r.Time.FirstByte += took
		return err
	}
	r.Time.FirstByte += h.first.Sub(h.start)
	r.Env.Record.Phase(ctx, probes.Phase{Name: "first_byte", Start: h.start, End: h.first})
	end := h.last
	failure := error(nil)
	if !h.done {
		end = time.Now()
		failure = r.lacking(ctx, x, h)
	}
	r.Time.Body += end.Sub(h.first)
	p := probes.Phase{Name: "body", Start: h.first, End: end, Err: failure, Attrs: []probes.Attr{
		{Key: "gengfu.bytes", Value: len(h.all)},
		{Key: "gengfu.text", Value: probes.Excerpt(r.redact.Text(r.show(h.all)))},
	}}
	if failure != nil {
		p.Class = reach.ClassOf(failure)
	}
	r.Env.Record.Phase(ctx, p)
	return failure
}

// lacking says what is wrong with a reply in which the pattern did not come.
func (r *run) lacking(ctx context.Context, x exchange, h heard) error {
	got := probes.Excerpt(r.redact.Text(r.show(h.all)))
	f := &probes.Failure{Class: probes.ClassContent, Phrase: probes.PhraseNotFound, Want: x.until.String(), Got: got}
	switch {
	case h.err == nil:
		r.cut = true
		f.Phrase, f.Got = probes.PhraseReplyLong, strconv.Itoa(r.maxRead)
	case errors.Is(ctx.Err(), context.Canceled):
		return reach.ErrStopped
	case errors.Is(h.err, io.EOF), probes.Waited(h.err):
		// It said something else, and no more.
	default:
		return reach.Explain(ctx, "body", r.peer(), time.Since(h.start), h.err)
	}
	return f
}

// peer is the address spoken to.
func (r *run) peer() string { return net.JoinHostPort(r.IP.String(), r.port) }

// valid is b as text.
func valid(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

// show is a reply for people, without secrets whatever its form.
func (r *run) show(b []byte) string { return shown([]byte(r.redact.Secrets(string(b)))) }

// shown is a reply for people: text, or hexadecimal for what is none.
func shown(b []byte) string {
	if !bytes.ContainsRune(b, 0) && utf8.Valid(trimPartial(b)) {
		return valid(b)
	}
	if len(b) > probes.ExcerptMax {
		b = b[:probes.ExcerptMax]
	}
	return "0x" + hex.EncodeToString(b)
}

// trimPartial drops a character that was cut at the end.
func trimPartial(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}
