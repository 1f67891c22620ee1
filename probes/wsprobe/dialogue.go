package wsprobe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/gengfu/gengfu/probes"
)

// maxMessages bounds how many messages one exchange passes over.
const maxMessages = 1000

// exchange is one turn: what is sent, and what must come back.
type exchange struct {
	says     bool
	template string // of a text message, with ${secret:NAME}, or
	json     bool   // the template is JSON, so that values are written as it does
	data     []byte // a binary message
	until    *pattern
	within   time.Duration // 0 is the run's own end
}

// pattern is what a message must have: bytes, a match, members, or nothing at
// all; with a code it is the end that is waited for.
type pattern struct {
	source  string // as the definition writes it
	re      *regexp.Regexp
	literal []byte
	json    any
	code    int
}

func stepName(i int) string { return "exchange " + strconv.Itoa(i+1) }

func (p *pattern) found(message []byte) bool {
	switch {
	case p.re != nil:
		return p.re.Match(message)
	case p.literal != nil:
		return bytes.Contains(message, p.literal)
	case p.json != nil:
		var v any
		return json.Unmarshal(message, &v) == nil && within(p.json, v)
	}
	return p.code == 0
}

// within reports whether v has all that part has: members of objects may be more,
// all else is equal.
func within(part, v any) bool {
	want, ok := part.(map[string]any)
	if !ok {
		return reflect.DeepEqual(part, v)
	}
	got, ok := v.(map[string]any)
	for k := range want {
		if other, has := got[k]; !ok || !has || !within(want[k], other) {
			return false
		}
	}
	return ok
}

// exchange sends and waits. A failure is the service's.
func (r *run) exchange(ctx context.Context, x exchange) error {
	within, cancel := ctx, context.CancelFunc(func() {})
	if x.within > 0 {
		within, cancel = context.WithTimeout(ctx, x.within)
	}
	defer cancel()
	if x.says {
		if err := r.send(within, x); err != nil {
			return err
		}
	}
	if x.until == nil {
		return nil
	}
	start := time.Now()
	n := r.messages
	err := r.receive(within, x.until)
	took, err := r.Phase(ctx, "first_byte", r.peer(), start, err,
		probes.Attr{Key: "gengfu.messages", Value: r.messages - n},
		probes.Attr{Key: "gengfu.text", Value: probes.Excerpt(r.redact.Text(valid(r.text)))})
	r.Time.FirstByte += took
	return err
}

func (r *run) send(ctx context.Context, x exchange) error {
	kind, data := websocket.MessageBinary, x.data
	if data == nil {
		value := r.secret
		if x.json {
			value = r.inJSON
		}
		text, err := probes.Expand(x.template, value)
		if err != nil {
			return err
		}
		kind, data = websocket.MessageText, []byte(text)
	}
	start := time.Now()
	err := r.conn.Write(ctx, kind, data)
	if err != nil {
		err = r.ended(err)
	}
	took, err := r.Phase(ctx, "request", r.peer(), start, err, probes.Attr{Key: "gengfu.bytes", Value: len(data)})
	r.Time.Request += took
	return err
}

// inJSON is a secret as it stands between the quotes of a text in JSON.
func (r *run) inJSON(name string) (string, error) {
	text, err := json.Marshal(r.values[name])
	if err != nil {
		return "", fmt.Errorf("writing the secret %s as JSON: %w", name, err)
	}
	return string(text[1 : len(text)-1]), nil
}

// receive reads until a message fits.
func (r *run) receive(ctx context.Context, p *pattern) error {
	r.conn.SetReadLimit(r.maxMessage)
	var last []byte
	for range maxMessages {
		_, message, err := r.conn.Read(ctx)
		if code := websocket.CloseStatus(err); code > 0 {
			r.closed = code
			if p.code == int(code) {
				return nil
			}
			if p.code != 0 {
				return r.wrongCode(p.code, err)
			}
		}
		if err != nil {
			if last != nil && probes.Waited(err) && !errors.Is(ctx.Err(), context.Canceled) {
				return r.lacking(p, last)
			}
			return r.ended(err)
		}
		last = message
		r.messages++
		r.bytes += len(message)
		r.text = message
		if p.found(message) {
			return nil
		}
	}
	return r.lacking(p, last)
}

// lacking says that other messages came.
func (r *run) lacking(p *pattern, last []byte) error {
	if p.code != 0 {
		return r.wrongCode(p.code, nil)
	}
	return &probes.Failure{
		Class: probes.ClassContent, Phrase: probes.PhraseNotFound, Want: probes.Excerpt(p.source),
		Got: probes.Excerpt(r.redact.Text(valid(last))),
	}
}

// ended says what it means that the connection is over.
func (r *run) ended(err error) error {
	var closed websocket.CloseError
	switch {
	case errors.As(err, &closed):
		r.closed = closed.Code
		return &probes.Failure{Class: probes.ClassReset, Phrase: probes.PhraseSocketClosed, Want: r.peer(), Got: r.farewell(closed)}
	case errors.Is(err, websocket.ErrMessageTooBig):
		return &probes.Failure{
			Class: probes.ClassContent, Phrase: probes.PhraseMessageLong, Want: r.peer(), Got: strconv.FormatInt(r.maxMessage, 10),
		}
	}
	return r.broken(err)
}

// farewell is a code with its reason.
func (r *run) farewell(c websocket.CloseError) string {
	return probes.Excerpt(r.redact.Text(strings.TrimSpace(strconv.Itoa(int(c.Code)) + " " + c.Reason)))
}

// wrongCode says that the peer closed otherwise than it should, or did not.
func (r *run) wrongCode(want int, err error) error {
	f := &probes.Failure{Class: probes.ClassContent, Phrase: probes.PhraseSocketCode, Want: strconv.Itoa(want), Got: "-"}
	var closed websocket.CloseError
	switch {
	case errors.As(err, &closed):
		f.Got = r.farewell(closed)
	case r.closed != 0:
		f.Got = strconv.Itoa(int(r.closed))
	case err != nil && probes.Waited(err):
		f.Class = probes.ClassTimeout
	case err != nil:
		f.Class = probes.ClassReset
	}
	return f
}

// valid is b as text.
func valid(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }
