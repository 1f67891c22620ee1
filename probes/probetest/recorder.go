package probetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// Span is one step or phase that a Recorder saw.
type Span struct {
	Name   string
	Parent string // the step it happened in; empty for the run itself
	Start  time.Time
	End    time.Time
	Class  probes.Class
	Err    error
	Attrs  map[string]any
}

// Recorder keeps what a run records. It is safe for concurrent use.
type Recorder struct {
	mu    sync.Mutex
	spans []*Span
}

var _ probes.Recorder = (*Recorder)(nil)

type spanKey struct{}

// Step implements probes.Recorder.
func (r *Recorder) Step(ctx context.Context, name string, do func(context.Context) error) error {
	s := r.add(ctx, Span{Name: name, Start: time.Now()})
	err := do(context.WithValue(ctx, spanKey{}, s))
	r.mu.Lock()
	defer r.mu.Unlock()
	s.End, s.Err, s.Class = time.Now(), err, probes.Classify(err)
	return err
}

// Phase implements probes.Recorder.
func (r *Recorder) Phase(ctx context.Context, p probes.Phase) {
	s := r.add(ctx, Span{Name: p.Name, Start: p.Start, End: p.End, Class: p.Class, Err: p.Err})
	r.annotate(s, p.Attrs)
}

// Annotate implements probes.Recorder.
func (r *Recorder) Annotate(ctx context.Context, attrs ...probes.Attr) {
	if s, ok := ctx.Value(spanKey{}).(*Span); ok {
		r.annotate(s, attrs)
	}
}

func (r *Recorder) add(ctx context.Context, s Span) *Span {
	s.Attrs = map[string]any{}
	if parent, ok := ctx.Value(spanKey{}).(*Span); ok {
		s.Parent = parent.Name
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans = append(r.spans, &s)
	return &s
}

func (r *Recorder) annotate(s *Span, attrs []probes.Attr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range attrs {
		s.Attrs[a.Key] = a.Value
	}
}

// Spans lists what was recorded, in order of beginning to record.
func (r *Recorder) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Span, 0, len(r.spans))
	for _, s := range r.spans {
		out = append(out, *s)
	}
	return out
}

// Names lists the spans as "parent/name".
func (r *Recorder) Names() []string {
	var names []string
	for _, s := range r.Spans() {
		names = append(names, strings.TrimPrefix(s.Parent+"/"+s.Name, "/"))
	}
	return names
}

// Text is everything recorded as one text, to look for what must not be there.
func (r *Recorder) Text() string {
	var b strings.Builder
	for _, s := range r.Spans() {
		fmt.Fprintf(&b, "%s %s %s %v %v\n", s.Parent, s.Name, s.Class, s.Err, s.Attrs)
	}
	return b.String()
}
