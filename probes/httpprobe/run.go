package httpprobe

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/gengfu/gengfu/probes"
)

// userAgent says plainly that a machine asks; the fleet's name follows.
const userAgent = "Mozilla/5.0 (compatible; Gengfu synthetic probe)"

// run is one run: the definition with its secrets filled in.
type run struct {
	*prober
	env    probes.Env
	roots  *x509.CertPool // nil means the host's
	jar    http.CookieJar
	secret []string // values used, for redaction
	redact *probes.Redactor
	// What is sent at first.
	url     *url.URL
	headers http.Header
	host    string // a Host header that the definition sets
	// guarded are the headers that hold credentials: they stay at the origin
	// they were written for.
	guarded map[string]bool
	payload []byte
	private bool // the body holds a secret
}

// prepare fills the secrets in. Its errors are this agent's fault.
func (p *prober) prepare(env probes.Env) (*run, error) {
	r := &run{prober: p, env: env, roots: env.Roots, headers: http.Header{}, guarded: map[string]bool{}}
	var err error
	if r.jar, err = cookiejar.New(nil); err != nil {
		return nil, fmt.Errorf("making a cookie jar: %w", err)
	}
	if p.caFile != "" {
		if r.roots, err = withFile(env.Roots, p.caFile); err != nil {
			return nil, err
		}
	}
	address, err := r.expandURL(p.request.URL)
	if err != nil {
		return nil, fmt.Errorf("request.url: %w", err)
	}
	if r.url, err = parse(address); err != nil {
		return nil, fmt.Errorf("request.url %s does not make an address once its secrets are filled in: %w", p.request.URL, err)
	}
	if err := r.fillBody(); err != nil {
		return nil, err
	}
	if err := r.fillHeaders(); err != nil {
		return nil, err
	}
	r.redact = probes.NewRedactor(r.secret)
	return r, nil
}

// expand fills secrets in and remembers their values.
func (r *run) expand(s string) (string, error) {
	return probes.Expand(s, func(name string) (string, error) {
		value, err := r.env.Secret(name)
		if err == nil {
			r.secret = append(r.secret, value)
		}
		return value, err
	})
}

// expandURL fills secrets in, each escaped for where it stands, so that one
// never ends a parameter or begins another.
func (r *run) expandURL(address string) (string, error) {
	path, query, asked := strings.Cut(address, "?")
	path, err := r.expandEscaped(path, url.PathEscape)
	if err != nil || !asked {
		return path, err
	}
	query, err = r.expandEscaped(query, url.QueryEscape)
	return path + "?" + query, err
}

func (r *run) expandEscaped(s string, escape func(string) string) (string, error) {
	return probes.Expand(s, func(name string) (string, error) {
		value, err := r.expand("${secret:" + name + "}")
		return escape(value), err
	})
}

func (r *run) fillBody() error {
	before := len(r.secret)
	q := r.request
	switch {
	case q.JSON != nil:
		v, err := r.expandJSON(q.JSON)
		if err != nil {
			return fmt.Errorf("request.json: %w", err)
		}
		if r.payload, err = json.Marshal(v); err != nil {
			return fmt.Errorf("encoding request.json: %w", err)
		}
		r.headers.Set("Content-Type", "application/json; charset=utf-8")
	case len(q.Form) > 0:
		form := url.Values{}
		for name, value := range q.Form {
			filled, err := r.expand(value)
			if err != nil {
				return fmt.Errorf("request.form.%s: %w", name, err)
			}
			form.Set(name, filled)
		}
		r.payload = []byte(form.Encode())
		r.headers.Set("Content-Type", "application/x-www-form-urlencoded")
	case q.Body != "":
		body, err := r.expand(q.Body)
		if err != nil {
			return fmt.Errorf("request.body: %w", err)
		}
		r.payload = []byte(body)
		r.headers.Set("Content-Type", "text/plain; charset=utf-8")
	}
	r.private = len(r.secret) > before
	return nil
}

// expandJSON fills secrets into every text inside v.
func (r *run) expandJSON(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return r.expand(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			item, err := r.expandJSON(v[i])
			if err != nil {
				return nil, err
			}
			out[i] = item
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			item, err := r.expandJSON(v[k])
			if err != nil {
				return nil, err
			}
			out[k] = item
		}
		return out, nil
	}
	return v, nil
}

func (r *run) fillHeaders() error {
	r.headers.Set("User-Agent", strings.TrimSpace(userAgent+" "+r.env.UserAgentSuffix))
	r.headers.Set("Accept", "text/html,application/xhtml+xml,application/json,*/*;q=0.8")
	r.headers.Set("Accept-Language", "zh-CN,zh;q=0.9")
	r.headers.Set("Accept-Encoding", "gzip")
	for _, name := range []string{"Authorization", "Cookie"} {
		r.guarded[name] = true
	}
	for name, value := range r.request.Headers {
		before := len(r.secret)
		filled, err := r.expand(value)
		if err != nil {
			return fmt.Errorf("request.headers.%s: %w", name, err)
		}
		if !httpguts.ValidHeaderFieldValue(filled) {
			return fmt.Errorf("request.headers.%s: a secret holds a line break or another control character; set it anew", name)
		}
		key := http.CanonicalHeaderKey(name)
		if len(r.secret) > before {
			r.guarded[key] = true
		}
		if key == "Host" {
			r.host = filled
			continue
		}
		r.headers.Set(key, filled)
	}
	if b := r.request.Basic; b != nil {
		user, err := r.expand(b.User)
		if err != nil {
			return fmt.Errorf("request.basic.user: %w", err)
		}
		password, err := r.expand(b.Password)
		if err != nil {
			return fmt.Errorf("request.basic.password: %w", err)
		}
		token := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
		r.secret = append(r.secret, token)
		r.headers.Set("Authorization", "Basic "+token)
	}
	return nil
}

// withFile adds the certificates of a file to the roots.
func withFile(roots *x509.CertPool, path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading ca_file: %w", err)
	}
	if roots == nil {
		if roots, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("reading the host's certificates: %w", err)
		}
	}
	roots = roots.Clone()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file %s holds no PEM certificate", path)
	}
	return roots, nil
}

// ask is one request of a run: the first, or one that a redirect led to.
type ask struct {
	method  string
	url     *url.URL
	headers http.Header
	host    string
	body    []byte
}

func (r *run) first() ask {
	return ask{r.request.Method, r.url, r.headers.Clone(), r.host, r.payload}
}

// next makes the request that a reply's Location asks for, or says why it is
// not to be followed.
func (r *run) next(a ask, status int, location string) (ask, probes.Phrase) {
	target, err := a.url.Parse(location)
	if err != nil {
		return ask{}, probes.PhraseRedirectBad
	}
	target.User = nil
	if target, err = fit(target); err != nil {
		return ask{}, probes.PhraseRedirectBad
	}
	if a.url.Scheme == "https" && target.Scheme == "http" {
		return ask{}, probes.PhraseRedirectPlain
	}
	out := ask{method: a.method, url: target, headers: a.headers.Clone(), host: a.host, body: a.body}
	keeps := status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect
	if !keeps && a.method != http.MethodGet && a.method != http.MethodHead {
		out.method, out.body = http.MethodGet, nil
		out.headers.Del("Content-Type")
	}
	if target.Scheme != a.url.Scheme || target.Host != a.url.Host {
		for name := range r.guarded {
			out.headers.Del(name)
		}
		out.host = ""
		switch {
		case len(out.body) > 0 && r.private:
			return ask{}, probes.PhraseRedirectSecret
		case len(out.body) > 0 && !r.allow.host(target.Hostname()):
			return ask{}, probes.PhraseRedirectBody
		}
	}
	return out, ""
}

// port is where the request goes to.
func (a ask) port() string {
	return cmp.Or(a.url.Port(), map[string]string{"https": "443", "http": "80"}[a.url.Scheme])
}

// reader makes the body's reader anew for each request.
func (a ask) reader() io.Reader {
	if a.body == nil {
		return http.NoBody
	}
	return bytes.NewReader(a.body)
}
