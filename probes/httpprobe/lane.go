package httpprobe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gengfu/gengfu/probes"
)

// The bounds of a definition's nodes, and how many are asked at the same time.
const (
	maxNodes    = 32
	nodesAtOnce = 4
)

// lane is one way through the steps: to one of several business nodes, or over
// one of the two families of addresses.
type lane struct {
	span string // the name of its span; empty when it is the only one
	name string // in measures and checks
	host string // connected to in place of the first request's host; empty for none
	port string // and in place of its port
	net  string // "ip", "ip4" or "ip6"
}

// usualLane goes where the address says.
var usualLane = lane{net: "ip"}

// node is a business node behind a load balancer.
type node struct {
	Name    string `yaml:"name" doc:"what people call the node; its address by default" zh:"节点的名称，默认为其地址"`
	Address string `yaml:"address" doc:"an IP address or a host, with a port where it differs" zh:"IP 地址或主机名，端口不同时写上端口"`
}

// UnmarshalYAML takes the short form, an address alone, too.
func (n *node) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&n.Address) == nil {
		return nil
	}
	type plain node
	return unmarshal((*plain)(n))
}

// lanes compiles nodes and family.
func (c *checker) lanes(nodes []node, ip any) []lane {
	family := c.family(ip)
	if len(nodes) == 0 {
		return family
	}
	if len(family) > 1 {
		c.mistake("ip", "want 4 or 6 beside nodes, got both; give each node's addresses")
	}
	if len(nodes) > maxNodes {
		c.mistake("nodes", "want at most %d nodes, got %d; split the probe", maxNodes, len(nodes))
	}
	var out []lane
	for i, n := range nodes {
		key := fmt.Sprintf("nodes[%d]", i)
		l := lane{net: family[0].net, host: n.Address}
		if host, port, err := net.SplitHostPort(n.Address); err == nil && !strings.Contains(n.Address, "/") {
			l.host, l.port = host, port
			if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 {
				c.mistake(key, "want a port from 1 to 65535, got %q", port)
			}
		} else if strings.HasPrefix(n.Address, "[") {
			l.host = strings.Trim(n.Address, "[]")
		}
		if u, err := parse("http://" + bracket(l.host)); err != nil || u.Path != "" {
			c.mistake(key, "want an address such as 10.1.2.3 or 10.1.2.3:8443, got %q", n.Address)
		}
		l.name = cmp.Or(strings.Join(strings.Fields(n.Name), " "), n.Address)
		l.span = "node " + l.name
		if slices.ContainsFunc(out, func(o lane) bool { return o.name == l.name }) {
			c.mistake(key, "want a name of its own for every node, got %q twice", l.name)
		}
		out = append(out, l)
	}
	return out
}

func bracket(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

func (c *checker) family(ip any) []lane {
	switch fmt.Sprint(ip) {
	case "<nil>", "any":
		return []lane{usualLane}
	case "4":
		return []lane{{net: "ip4"}}
	case "6":
		return []lane{{net: "ip6"}}
	case "both":
		return []lane{{span: "ipv4", name: "IPv4", net: "ip4"}, {span: "ipv6", name: "IPv6", net: "ip6"}}
	}
	c.mistake("ip", "want any, 4, 6 or both, got %v", ip)
	return []lane{usualLane}
}

// ran is what one lane came to.
type ran struct {
	lane   lane
	result probes.Result
	err    error // this agent's
	panic  any
}

// fork goes through every lane, some at the same time, and puts together what
// they say.
func (p *prober) fork(ctx context.Context, env probes.Env, secrets map[string]string) (probes.Result, error) {
	all := make([]ran, len(p.lanes))
	places := make(chan struct{}, nodesAtOnce)
	var group sync.WaitGroup
	for i, l := range p.lanes {
		// Who waits for a place must find time left when it comes.
		turns := (len(p.lanes)-i-1)/nodesAtOnce + 1
		places <- struct{}{}
		group.Go(func() {
			defer func() {
				all[i].panic = recover()
				<-places
			}()
			lctx, cancel := share(ctx, turns)
			defer cancel()
			all[i].lane = l
			all[i].result, all[i].err = p.through(lctx, env, secrets, l)
		})
	}
	group.Wait()
	var errs []error
	for _, r := range all {
		if r.panic != nil {
			panic(r.panic) // as if it had come here
		}
		errs = append(errs, r.err)
	}
	if err := errors.Join(errs...); err != nil {
		return probes.Result{}, err
	}
	return p.together(all), nil
}

// through is one lane's pass, inside a span of its own.
func (p *prober) through(ctx context.Context, env probes.Env, secrets map[string]string, l lane) (res probes.Result, err error) {
	_ = env.Record.Step(ctx, l.span, func(ctx context.Context) error {
		var s *session
		if s, err = p.open(env, secrets, l); err != nil {
			return err
		}
		if res, err = s.run(ctx); err != nil {
			return err
		}
		env.Record.Annotate(ctx,
			probes.Attr{Key: "gengfu.node.verdict", Value: res.Verdict.String()},
			probes.Attr{Key: "network.peer.address", Value: res.IP},
			probes.Attr{Key: "http.response.status_code", Value: res.Status},
			probes.Attr{Key: "gengfu.timing.total_ns", Value: int64(res.Timings.Total)})
		if !over(res) {
			return nil
		}
		f := res.Findings[0]
		return &probes.Failure{Class: f.Class, Phrase: f.Phrase, Want: f.Want, Got: f.Got}
	})
	return res, err
}

// together makes one result of several lanes'. All that could be looked at have
// failed: down; some: degraded, with the lanes that failed named. The timings
// are those of the slowest lane that is worth as much as the whole.
func (p *prober) together(all []ran) probes.Result {
	count := map[probes.Verdict]int{}
	for _, r := range all {
		count[r.result.Verdict]++
	}
	seen := len(all) - count[probes.Unknown]
	verdict := probes.Up
	switch {
	case seen == 0:
		verdict = probes.Unknown
	case count[probes.Down] == seen:
		verdict = probes.Down
	case count[probes.Up] < len(all):
		verdict = probes.Degraded
	}
	ranked := slices.Clone(all)
	slices.SortStableFunc(ranked, func(a, b ran) int { return rank(b.result.Verdict) - rank(a.result.Verdict) })
	out := slices.MaxFunc(all, func(a, b ran) int {
		return cmp.Or(cmp.Compare(fits(a.result.Verdict, verdict), fits(b.result.Verdict, verdict)), cmp.Compare(a.result.Timings.Total, b.result.Timings.Total))
	}).result
	out.Verdict, out.Class, out.Findings, out.Checks, out.Evidence, out.Steps, out.Passed = verdict, probes.ClassNone, nil, nil, nil, 0, 0
	for _, r := range ranked {
		for _, f := range r.result.Findings {
			f.Step = within(r.lane.span, f.Step)
			out.Findings = append(out.Findings, f)
		}
		if over(r.result) {
			out.Evidence = append(out.Evidence, r.result.Evidence...)
		}
	}
	for _, r := range all {
		p.row(&out, r)
	}
	if len(p.lanes) == 2 && p.lanes[0].net != p.lanes[1].net {
		compare(&out, all[0].result, all[1].result)
	}
	if out.Verdict != probes.Up && len(out.Findings) > 0 {
		out.Class = out.Findings[0].Class
	}
	return out
}

// row adds what a lane says of itself.
func (p *prober) row(out *probes.Result, r ran) {
	for _, c := range r.result.Checks {
		c.Saw = probes.Excerpt(r.lane.name + ": " + c.Saw)
		out.Checks = append(out.Checks, c)
	}
	out.Steps += r.result.Steps
	out.Passed += r.result.Passed
	if t := r.result.TLSUntil; !t.IsZero() && (out.TLSUntil.IsZero() || t.Before(out.TLSUntil)) {
		out.TLSUntil = t // the one that ends first
	}
	out.Parts = append(out.Parts, probes.Part{
		Name: r.lane.name, Verdict: r.result.Verdict, Class: r.result.Class,
		IP: r.result.IP, Status: r.result.Status, Took: r.result.Timings.Total,
	})
	out.Measures[r.lane.name+".latency_ms"] = float64(r.result.Timings.Total.Microseconds()) / 1000
	if over(r.result) {
		out.Measures["failed_parts"]++
	}
}

// rank orders verdicts, the worst highest.
func rank(v probes.Verdict) int {
	return map[probes.Verdict]int{probes.Down: 3, probes.Unknown: 2, probes.Degraded: 1}[v]
}

// fits reports 1 when a lane's verdict may stand for the whole's: of a degraded
// whole it is a lane that works.
func fits(lane, whole probes.Verdict) int {
	works := lane == probes.Up || lane == probes.Degraded
	if lane == whole || works && (whole == probes.Up || whole == probes.Degraded) {
		return 1
	}
	return 0
}

// within names a step inside a lane.
func within(span, step string) string {
	if strings.HasPrefix(step, "step ") || strings.HasPrefix(step, "redirect ") {
		return span + " / " + step
	}
	return span
}

// compare degrades a result when both families work but do not answer alike.
func compare(out *probes.Result, four, six probes.Result) {
	if over(four) || over(six) {
		return
	}
	for _, d := range []struct{ name, four, six string }{
		{"status", strconv.Itoa(four.Status), strconv.Itoa(six.Status)},
		{"url", four.URL, six.URL},
		{"title", strconv.Quote(four.Title), strconv.Quote(six.Title)},
		{"cert.not_after", four.TLSUntil.UTC().Format("2006-01-02"), six.TLSUntil.UTC().Format("2006-01-02")},
	} {
		if d.four != d.six {
			out.Degrade(probes.Finding{
				Class: probes.ClassContent, Phrase: probes.PhraseFamilies,
				Want: probes.Excerpt("IPv4: " + d.name + " = " + d.four), Got: probes.Excerpt("IPv6: " + d.name + " = " + d.six),
			})
		}
	}
}
