// Package dnsprobe asks name servers for one name over UDP, TCP or TLS, checks
// that their replies belong to the query, and judges the answers: against what is
// due, and against each other.
package dnsprobe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
	"github.com/gengfu/gengfu/probes/reach"
)

// Kind is the kind "dns".
var Kind = probes.Kind{
	Name:    "dns",
	Doc:     "asks name servers for one name and judges their answers",
	Decode:  decode,
	Fields:  Fields,
	Choices: map[string][]string{"type": typeNames()},
}

// prober is one probe's definition, decoded and checked.
type prober struct {
	name      string // absolute, in ASCII
	qtype     uint16
	servers   []server
	need      int // how many of them must be well
	compare   bool
	recursion bool
	dnssec    bool // signatures are asked for
	mixed     bool // the query's letters are of mixed case
	due       due
	expect    []*expect.Expr
	warn      []*expect.Expr
}

// due are the answers that a definition expects. Each list may be empty.
type due struct {
	exact, contains, oneOf []string
	within                 []netip.Prefix
}

func (d due) nothing() bool {
	return len(d.exact)+len(d.contains)+len(d.oneOf)+len(d.within) == 0
}

// row is what one name server said.
type row struct {
	*prober
	reach.Line
	server
	via   []server // that the row is asked through: the system's servers
	by    server   // that replied
	reply *reply   // nil when none came
	tries int      // datagrams sent
	stray int      // datagrams that belong to no query
	err   error    // of the service when it is a *probes.Failure
}

// Probe implements probes.Prober.
func (p *prober) Probe(ctx context.Context, env probes.Env) (probes.Result, error) {
	rows := make([]*row, len(p.servers))
	var group sync.WaitGroup
	for i, s := range p.servers {
		r := &row{prober: p, Line: reach.Line{Env: env}, server: s}
		rows[i] = r
		group.Go(func() { r.survive(ctx) })
	}
	group.Wait()
	for _, r := range rows {
		if errors.Is(r.err, reach.ErrStopped) {
			return probes.Result{}, r.err
		}
	}
	return p.judge(rows)
}

// survive looks, and makes a panic the row's error: the runner survives only
// those of its own goroutine.
func (r *row) survive(ctx context.Context) {
	defer func() {
		if v := recover(); v != nil {
			r.err = fmt.Errorf("asking %s: it panicked: %v", r.label, v)
		}
	}()
	r.err = r.Env.Record.Step(ctx, "query "+r.label, r.look)
}

// look asks the server and notes what came.
func (r *row) look(ctx context.Context) error {
	r.Env.Record.Annotate(ctx,
		probes.Attr{Key: "dns.question.name", Value: r.shownName()},
		probes.Attr{Key: "gengfu.dns.type", Value: typeName(r.qtype)})
	if r.proto != system {
		r.via = []server{r.server}
	} else if r.via = systemServers(); len(r.via) == 0 {
		return errors.New("this host names no name server in /etc/resolv.conf")
	}
	err := r.ask(ctx)
	r.Time.Total = r.Time.DNS + r.Time.Connect + r.Time.TLS + r.Time.Request + r.Time.FirstByte
	if r.reply != nil {
		r.Env.Record.Annotate(ctx, r.reply.attrs()...)
	}
	if err != nil {
		return err
	}
	return r.weigh()
}

// question is what is asked, as findings show it.
func (p *prober) question() string { return p.shownName() + "/" + typeName(p.qtype) }

func (p *prober) shownName() string {
	if p.name == "." {
		return p.name
	}
	return p.name[:len(p.name)-1]
}
