package icmpprobe

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
)

// echo is one request; rtt is 0 while it is not answered.
type echo struct {
	at  time.Time
	rtt time.Duration
}

// tally is what became of the requests.
type tally struct {
	sent        []echo
	again       int    // replies that came more than once
	unreachable string // who said that there is no way; empty when nobody did
}

func (t *tally) missing() bool {
	for _, e := range t.sent {
		if e.rtt == 0 {
			return true
		}
	}
	return false
}

// stats are a tally's figures.
type stats struct {
	sent, received, again    int
	loss                     float64 // percent
	min, avg, max, deviation time.Duration
}

func (t *tally) stats() stats {
	s := stats{sent: len(t.sent), again: t.again}
	var sum, squares float64
	for _, e := range t.sent {
		if e.rtt == 0 {
			continue
		}
		if s.received++; s.received == 1 || e.rtt < s.min {
			s.min = e.rtt
		}
		s.max = max(s.max, e.rtt)
		sum += float64(e.rtt)
		squares += float64(e.rtt) * float64(e.rtt)
	}
	if s.sent > 0 {
		s.loss = 100 * float64(s.sent-s.received) / float64(s.sent)
	}
	if n := float64(s.received); n > 0 {
		mean := sum / n
		s.avg = time.Duration(mean)
		s.deviation = time.Duration(math.Sqrt(max(0, squares/n-mean*mean)))
	}
	return s
}

func (s stats) measures() map[string]float64 {
	m := map[string]float64{"sent": float64(s.sent), "received": float64(s.received), "loss_percent": s.loss}
	if s.again > 0 {
		m["duplicates"] = float64(s.again)
	}
	if s.received > 0 {
		for name, d := range map[string]time.Duration{"min": s.min, "avg": s.avg, "max": s.max, "stddev": s.deviation} {
			m["rtt_"+name+"_ms"] = float64(d) / float64(time.Millisecond)
		}
	}
	return m
}

// report records a phase for every request.
func (r *run) report(ctx context.Context) {
	for i, e := range r.sent {
		p := probes.Phase{Name: "echo", Start: e.at, End: e.at.Add(e.rtt), Attrs: []probes.Attr{
			{Key: "gengfu.icmp.seq", Value: i}, {Key: "network.peer.address", Value: r.IP.String()},
		}}
		if e.rtt == 0 {
			p.End = time.Now()
			f := &probes.Failure{Class: probes.ClassTimeout, Phrase: probes.PhrasePingSilent, Want: r.host, Got: "1"}
			p.Class, p.Err = f.Class, f
		}
		r.Env.Record.Phase(ctx, p)
	}
}

// silence is the failure of a run in which nothing was answered.
func (r *run) silence() error {
	switch s := r.stats(); {
	case s.received > 0:
		return nil
	case r.unreachable != "":
		return &probes.Failure{Class: probes.ClassConnect, Phrase: probes.PhraseUnreachable, Want: r.host, Got: probes.Excerpt(r.unreachable)}
	default:
		return &probes.Failure{Class: probes.ClassTimeout, Phrase: probes.PhrasePingSilent, Want: r.host, Got: strconv.Itoa(s.sent)}
	}
}

func percent(f float64) string { return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) + "%" }

// Fields lists what expectations of the kind may speak of.
func Fields() []expect.Field {
	return []expect.Field{
		{Name: "latency", Doc: "name resolution and the mean round trip together", Zero: time.Duration(0)},
		{Name: "dns", Doc: "the time of name resolution", Zero: time.Duration(0)},
		{Name: "loss", Doc: "the share of requests without a reply, in percent", Zero: 0.0},
		{Name: "rtt", Doc: "round trips of the requests that were answered: rtt.min, rtt.avg, rtt.max, rtt.stddev", Zero: map[string]any{
			"min": time.Duration(0), "avg": time.Duration(0), "max": time.Duration(0), "stddev": time.Duration(0),
		}},
		{Name: "sent", Doc: "how many requests were sent", Zero: 0},
		{Name: "received", Doc: "how many were answered", Zero: 0},
		{Name: "ip", Doc: "the address that was spoken to", Zero: ""},
	}
}

// fields are the values. A field that is not known is missing.
func (r *run) fields(s stats) map[string]any {
	v := map[string]any{"dns": r.Time.DNS}
	if r.IP.IsValid() {
		v["ip"] = r.IP.String()
	}
	if s.sent > 0 {
		v["loss"], v["sent"], v["received"] = s.loss, s.sent, s.received
	}
	if s.received > 0 {
		v["latency"] = r.Time.Total
		v["rtt"] = map[string]any{"min": s.min, "avg": s.avg, "max": s.max, "stddev": s.deviation}
	}
	return v
}
