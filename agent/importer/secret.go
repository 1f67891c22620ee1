package importer

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/gengfu/gengfu/probes"
)

// vault gives secrets their names. It keeps the values only to keep them out of
// everything that is written.
type vault struct {
	byValue map[string]string
	names   map[string]bool
	values  []string
}

func newVault() *vault { return &vault{byValue: map[string]string{}, names: map[string]bool{}} }

// redact takes every secret's value out of the notes.
func (v *vault) redact(notes []Note) []Note {
	r := probes.NewRedactor(v.values)
	for i := range notes {
		for _, s := range []*string{&notes[i].What, &notes[i].Why} {
			*s = shaped.ReplaceAllString(r.Secrets(*s), probes.Masked)
		}
	}
	return notes
}

// maxSecrets bounds one import's secrets, as all are looked for in every note.
const maxSecrets = 1000

// minSecret is the length from which a value that is repeated elsewhere is taken
// for the secret, and not for a word.
const minSecret = 8

var word = regexp.MustCompile(`^[a-z]+$`)

// tells reports whether s holds a secret of the service, or what looks like one.
func (d *draft) tells(s string) bool {
	for _, value := range d.hidden {
		if len(value) >= minSecret && !word.MatchString(value) && strings.Contains(s, value) {
			return true
		}
	}
	return shaped.MatchString(s)
}

// own is how definitions name a secret. A source that holds it in its own texts
// would make agents fill their secrets into its requests.
const own = "${secret:"

// literal is a source's text as a definition takes it.
func literal(s string) string { return strings.ReplaceAll(s, "${", "$${") }

// hide takes a value away and returns what stands for it. The same value keeps
// its name in the whole import.
func (j *job) hide(d *draft, at place, what, hint, value string) string {
	name, known := j.secrets.byValue[value]
	if !known && len(j.secrets.values) >= maxSecrets {
		j.left(at, what, "want at most %d secrets in one import, got more; this one was not written and stands as MORE_SECRETS", maxSecrets)
		return own + "MORE_SECRETS}"
	}
	d.hidden = append(d.hidden, value)
	if !known {
		name = j.secrets.name(d.id + "_" + hint)
		j.secrets.byValue[value] = name
		j.secrets.values = append(j.secrets.values, value)
	}
	j.changed(at, what, "the secret was not written; set AGENT_SECRET_%s on the agents", name)
	return own + name + "}"
}

// expected names a secret whose value the source does not hold either.
func (j *job) expected(at place, what, name string) string {
	name = secretName(name)
	j.secrets.names[name] = true
	j.changed(at, what, "its value is not in the file; set AGENT_SECRET_%s on the agents", name)
	return own + name + "}"
}

func (v *vault) name(hint string) string {
	base := secretName(hint)
	out := base
	for n := 2; v.names[out]; n++ {
		out = fmt.Sprintf("%s_%d", base, n)
	}
	v.names[out] = true
	return out
}

// secretName keeps letters, digits and "_", and begins with a letter.
func secretName(hint string) string {
	s := strings.ToUpper(strings.ReplaceAll(slug(strings.ReplaceAll(hint, "_", "-")), "-", "_"))
	if s == "" || s[0] < 'A' {
		s = "S_" + s
	}
	return s
}

// secretWord reports whether a name is one under which secrets are kept.
func secretWord(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "key", "sign", "sig", "auth", "pass", "pin", "sid", "jwt", "cookie":
		return true
	}
	for _, w := range []string{
		"token", "secret", "passw", "pwd", "apikey", "api-key", "api_key", "accesskey", "access-key", "access_key", "appkey", "app-key", "app_key",
		"private-key", "private_key", "privatekey", "signature", "credential", "session", "ticket", "authorization", "authentication", "cookie",
		"x-auth", "密码", "口令", "密钥",
	} {
		if strings.Contains(name, w) {
			return true
		}
	}
	return false
}

// The forms in which bodies hold secrets, and the shapes that are secret anywhere.
var (
	jsonSecret = regexp.MustCompile(`"([^"\\\n]{1,80})"\s*:\s*(?:"((?:[^"\\]|\\.)+)"|(-?[0-9][0-9.]*))`)
	argSecret  = regexp.MustCompile(`\b([A-Za-z_][\w-]{0,79})\s*:\s*\\"([^"\\]+)\\"`) // inside a text of JSON
	formSecret = regexp.MustCompile(`(?m)(?:^|&)([^=&\s]{1,80})=([^&\s]+)`)
	xmlSecret  = regexp.MustCompile(`<(?:[\w-]+:)?([\w.-]{1,80})(?:\s[^<>]*)?>([^<]+)</`)
	shaped     = regexp.MustCompile(`eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|(?i:bearer\s+)([A-Za-z0-9._~+/=-]{12,})|\b(?:AKIA|ghp_|gho_|glpat-|xox[abp]-)[A-Za-z0-9_-]{12,}|\bsk-[A-Za-z0-9]{20,}`)
)

// body takes secrets out of a request's body.
func (j *job) body(d *draft, at place, text string) string {
	for _, form := range []*regexp.Regexp{jsonSecret, argSecret, formSecret, xmlSecret} {
		text = j.replace(form, text, func(name, value string) string {
			if !secretWord(name) {
				return value
			}
			return j.hide(d, at, "body: "+name, name, value)
		})
	}
	return j.shapes(d, at, "body", text)
}

// replace hands the first group and the last that matched, with its place, to do.
func (j *job) replace(form *regexp.Regexp, text string, do func(name, value string) string) string {
	var b strings.Builder
	end := 0
	for _, m := range form.FindAllStringSubmatchIndex(text, -1) {
		for g := 2; g*2 < len(m); g++ {
			if from, to := m[g*2], m[g*2+1]; from >= 0 && !strings.Contains(text[from:to], own) {
				b.WriteString(text[end:from])
				b.WriteString(do(text[m[2]:m[3]], text[from:to]))
				end = to
			}
		}
	}
	b.WriteString(text[end:])
	return b.String()
}

// shapes takes out what is a secret by its looks.
func (j *job) shapes(d *draft, at place, what, text string) string {
	return shaped.ReplaceAllStringFunc(text, func(found string) string {
		if m := shaped.FindStringSubmatch(found); m[1] != "" {
			return strings.TrimSuffix(found, m[1]) + j.hide(d, at, what, "token", m[1])
		}
		return j.hide(d, at, what, "token", found)
	})
}

// header takes the secret out of a header's value. The scheme of an
// Authorization header stays readable.
func (j *job) header(d *draft, at place, name, value string) string {
	what := "header " + name
	if !secretWord(name) || value == "" {
		return j.shapes(d, at, what, value)
	}
	if strings.Contains(value, own) {
		return value // the source itself keeps it elsewhere
	}
	scheme := schemes.FindString(value)
	return scheme + j.hide(d, at, what, name, value[len(scheme):])
}

// schemes are what may stand readable before a secret in a header.
var schemes = regexp.MustCompile(`^(?i:bearer|basic|token|apikey|api-key) +`)

// address is a web address in parts.
type address struct {
	service  string // what the public opens; "" when it cannot be said without a secret
	request  string // what the probe asks for, secrets named
	user     string
	password string // named
}

// address takes user, password and secret parameters out of a web address.
func (j *job) address(d *draft, at place, raw string) address {
	a := address{request: raw}
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		a.service = raw
		return a
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, tail := rest[:end], rest[end:]
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		user, password, _ := strings.Cut(host[:i], ":")
		host = host[i+1:]
		a.user = unescape(user, url.PathUnescape)
		if password != "" {
			a.password = unescape(password, url.PathUnescape)
			if !strings.Contains(password, own) {
				a.password = j.hide(d, at, "the address's password", "password", a.password)
			}
		}
	}
	tail, _, _ = strings.Cut(tail, "#")
	path, query, asked := strings.Cut(tail, "?")
	path = j.shapes(d, at, "the address", path)
	a.request = scheme + "://" + host + path
	a.service = a.request
	if asked {
		hidden := j.query(d, at, query)
		if !strings.Contains(hidden, own) {
			a.service += "?" + query
		}
		a.request += "?" + hidden
	}
	if strings.Contains(a.service, "${") {
		a.service = ""
	}
	return a
}

// query takes secrets out of a query, and leaves the rest as it is written.
func (j *job) query(d *draft, at place, query string) string {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		name, value, _ := strings.Cut(part, "=")
		if value == "" || strings.Contains(value, own) {
			continue
		}
		plain := unescape(name, url.QueryUnescape)
		what := "the address's parameter " + plain
		if secretWord(plain) {
			parts[i] = name + "=" + j.hide(d, at, what, plain, unescape(value, url.QueryUnescape))
			continue
		}
		parts[i] = name + "=" + j.shapes(d, at, what, value)
	}
	return strings.Join(parts, "&")
}

func unescape(s string, by func(string) (string, error)) string {
	if out, err := by(s); err == nil {
		return out
	}
	return s
}
