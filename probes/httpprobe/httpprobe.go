// Package httpprobe sends HTTP requests, one or a flow of several, each over a
// fresh connection, follows their redirects and judges the replies as the public
// would see them: network phases, certificate, page, status, business code,
// charset, schema, content and expectations.
package httpprobe

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
	"github.com/gengfu/gengfu/probes/pagerules"
)

// Kind is the kind "http".
var Kind = probes.Kind{
	Name:   "http",
	Doc:    "sends one HTTP request, or several that build on each other, and judges the replies",
	Decode: decode,
	Fields: Fields,

	Choices: map[string][]string{
		"pages.class":                  pagerules.OwnClassNames(),
		"protocol":                     {"auto", "http/1.1", "h2", "h3"},
		"content.of":                   {"text", "body"},
		"steps.content.of":             {"text", "body"},
		"request.sign.algorithm":       algorithmNames,
		"request.sign.encoding":        encodingNames,
		"request.sign.timestamp":       stampNames,
		"steps.request.sign.algorithm": algorithmNames,
		"steps.request.sign.encoding":  encodingNames,
		"steps.request.sign.timestamp": stampNames,
	},
}

// prober is one probe's definition, decoded and checked.
type prober struct {
	steps    []*step
	flow     bool           // written as steps, each of which is a span of its own
	expect   []*expect.Expr // of a flow as a whole, over its last reply
	warn     []*expect.Expr
	uses     map[string]bool // the fields that these two speak of
	allow    allowance
	charset  string   // overrides what the reply declares
	rules    bool     // page rules apply
	rulesOff []string // but not these
	own      []pagerules.Rule
	caFile   string
	lanes    []lane // at least one
	protocol string
	proxy    *relay
	cert     *[2]template // of the client: certificates and key, PEM
	maxBody  int64        // bytes, on the wire and decompressed alike
	secrets  []string     // names of all that the definition uses

	proof atomic.Pointer[proof] // the certificates that were verified last
}

// step is one request with what is expected of its reply.
type step struct {
	name     string // of its span in a flow: "step " and how the definition calls it
	plan     plan
	expect   []*expect.Expr
	warn     []*expect.Expr
	uses     map[string]bool // the fields that these two speak of
	business *envelope
	schema   *jsonschema.Schema
	content  *fingerprint
	save     []saver
	json     bool // the reply is to be JSON
}

// Probe implements probes.Prober.
func (p *prober) Probe(ctx context.Context, env probes.Env) (probes.Result, error) {
	secrets, err := p.resolve(env)
	if err != nil {
		return probes.Result{}, err
	}
	if len(p.lanes) > 1 || p.lanes[0].span != "" {
		return p.fork(ctx, env, secrets)
	}
	s, err := p.open(env, secrets, p.lanes[0])
	if err != nil {
		return probes.Result{}, err
	}
	return s.run(ctx)
}

// resolve asks for every secret before anything is sent. Its errors are this
// agent's fault.
func (p *prober) resolve(env probes.Env) (map[string]string, error) {
	if len(p.secrets) == 0 {
		return nil, nil
	}
	values := make(map[string]string, len(p.secrets))
	for _, name := range p.secrets {
		value, err := env.Secret(name)
		if err != nil {
			return nil, fmt.Errorf("expanding ${secret:%s}: %w", name, err)
		}
		values[name] = value
	}
	return values, nil
}
