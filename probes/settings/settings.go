// Package settings reads a program's configuration from the environment and
// describes it for -help. Both programs use it, so that they fail and explain
// themselves alike.
package settings

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/sethvargo/go-envconfig"
)

// Load fills cfg, a pointer to a struct with env and help tags, from variables
// that start with prefix. A variable with the prefix that no field knows is an
// error: a misspelt setting must not be silently ignored. Names that start with
// prefix+"SECRET_" are left alone.
func Load(ctx context.Context, prefix string, cfg any) error {
	return load(ctx, prefix, cfg, os.Environ(), envconfig.OsLookuper())
}

// LoadOr is Load with values for settings that the environment does not give, by
// their names without the prefix.
func LoadOr(ctx context.Context, prefix string, cfg any, otherwise map[string]string) error {
	usual := make(map[string]string, len(otherwise))
	for name, value := range otherwise {
		usual[prefix+name] = value
	}
	return load(ctx, prefix, cfg, os.Environ(), envconfig.MultiLookuper(envconfig.OsLookuper(), envconfig.MapLookuper(usual)))
}

func load(ctx context.Context, prefix string, cfg any, environ []string, from envconfig.Lookuper) error {
	var errs []error
	known := map[string]bool{}
	for _, f := range fields(cfg) {
		known[prefix+f.name] = true
	}
	for _, line := range environ {
		name, _, _ := strings.Cut(line, "=")
		if strings.HasPrefix(name, prefix) && !strings.HasPrefix(name, prefix+"SECRET_") && !known[name] {
			errs = append(errs, fmt.Errorf("%s: no such setting%s; -help lists all", name, nearest(name, known)))
		}
	}
	err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: cfg, Lookuper: envconfig.PrefixLookuper(prefix, from)})
	if err != nil {
		errs = append(errs, fmt.Errorf("reading the settings %s…: %w", prefix, err))
	}
	return errors.Join(errs...)
}

// nearest suggests the known name that differs least, when one is close.
func nearest(name string, known map[string]bool) string {
	best, at := "", 4
	for _, k := range slices.Sorted(mapKeys(known)) {
		if d := distance(name, k); d < at {
			best, at = k, d
		}
	}
	if best == "" {
		return ""
	}
	return ", did you mean " + best
}

func mapKeys(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

type field struct{ name, usual, help string }

func fields(cfg any) []field {
	t := reflect.TypeOf(cfg)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("env")
		if tag == "" {
			continue
		}
		parts := strings.Split(tag, ",")
		usual := ""
		for k, p := range parts[1:] {
			p = strings.TrimSpace(p)
			if p == "required" {
				usual = "required"
			}
			if v, ok := strings.CutPrefix(p, "default="); ok {
				// A default may hold commas: it is the rest of the tag.
				usual = strings.Join(append([]string{v}, parts[k+2:]...), ",")
				break
			}
		}
		out = append(out, field{parts[0], usual, f.Tag.Get("help")})
	}
	return out
}

// Describe prints every setting with its default and meaning.
func Describe(w io.Writer, prefix string, cfg any) error {
	for _, f := range fields(cfg) {
		usual := ""
		switch f.usual {
		case "":
		case "required":
			usual = " (required)"
		default:
			usual = " (" + f.usual + ")"
		}
		if _, err := fmt.Fprintf(w, "  %s%s%s\n        %s\n", prefix, f.name, usual, f.help); err != nil {
			return fmt.Errorf("printing the settings: %w", err)
		}
	}
	return nil
}

// Key reads a cluster key: 16, 24 or 32 bytes as base64 or hex.
func Key(name, text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawURLEncoding.DecodeString} {
		if key, err := decode(text); err == nil && slices.Contains([]int{16, 24, 32}, len(key)) {
			return key, nil
		}
	}
	// The text itself is secret and never shown.
	return nil, fmt.Errorf("%s: want 16, 24 or 32 bytes as base64 or hex, got %d characters that are neither; make one with: openssl rand -base64 32", name, len(text))
}

// ClusterKey reads the fleet's key from a setting's text or, when file is
// given, from a file.
func ClusterKey(prefix, text, file string) ([]byte, error) {
	name := prefix + "CLUSTER_KEY"
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading %s_FILE: %w", name, err)
		}
		text, name = string(b), name+"_FILE"
	}
	if strings.TrimSpace(text) == "" {
		return nil, fmt.Errorf("%s is not set: every member of the fleet needs the same key; make one with: openssl rand -base64 32", name)
	}
	return Key(name, text)
}

// Secrets resolves ${secret:NAME} from the environment (prefix + "SECRET_" +
// NAME) or a folder with one file a secret, and lists the values for redaction.
type Secrets struct {
	prefix, dir string
}

// NewSecrets makes a resolver. dir may be empty.
func NewSecrets(prefix, dir string) *Secrets { return &Secrets{prefix: prefix, dir: dir} }

// Value returns a secret's value, or an error that says how to provide it.
func (s *Secrets) Value(name string) (string, error) {
	if v, ok := os.LookupEnv(s.prefix + "SECRET_" + name); ok {
		return v, nil
	}
	if s.dir != "" && !strings.ContainsAny(name, "/\\.") {
		b, err := os.ReadFile(s.dir + "/" + name)
		if err == nil {
			return strings.TrimRight(string(b), "\r\n"), nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("reading secret %s: %w", name, err)
		}
	}
	where := ""
	if s.dir != "" {
		where = fmt.Sprintf(" or put it into the file %s/%s", s.dir, name)
	}
	return "", fmt.Errorf("secret %s is not set here: set %sSECRET_%s%s", name, s.prefix, name, where)
}

// Values lists every secret's value that can be found, for redaction.
func (s *Secrets) Values() []string {
	var out []string
	for _, line := range os.Environ() {
		name, value, _ := strings.Cut(line, "=")
		if strings.HasPrefix(name, s.prefix+"SECRET_") && value != "" {
			out = append(out, value)
		}
	}
	if s.dir != "" {
		entries, err := os.ReadDir(s.dir)
		if err == nil {
			for _, e := range entries {
				if v, err := s.Value(e.Name()); err == nil && v != "" && !e.IsDir() {
					out = append(out, v)
				}
			}
		}
	}
	return out
}

// Loopback reports whether addr ("host:port") listens on this host alone.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
