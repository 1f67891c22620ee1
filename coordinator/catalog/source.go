package catalog

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// source is where the definitions come from. Credentials travel in the
// environment of git, never on a command line, and never appear in a text.
type source struct {
	url     string // without user and password
	branch  string
	shown   string   // for people
	env     []string // of every git process
	secrets []string // never to be shown
}

var branchPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+@-]*$`)

func newSource(o Options) (source, error) {
	s := source{url: o.URL, branch: o.Branch}
	if o.URL == "" || strings.HasPrefix(o.URL, "-") || strings.ContainsAny(o.URL, "\n\r\x00") {
		return source{}, errors.New("following the definitions: want the repository's URL or path, for example https://git.example.test/ops/definitions.git or /srv/definitions")
	}
	if !branchPattern.MatchString(o.Branch) || strings.Contains(o.Branch, "..") {
		return source{}, fmt.Errorf("following the definitions: want a branch's name such as main, got %q", o.Branch)
	}
	token := o.Token
	u, err := url.Parse(o.URL)
	web := err == nil && (u.Scheme == "http" || u.Scheme == "https")
	if err != nil && strings.Contains(o.URL, "://") {
		// The parser's own error would quote the address with its password.
		return source{}, errors.New("following the definitions: the repository's URL cannot be parsed; write it as scheme://host/path")
	}
	if err == nil && u.User != nil {
		if password, ok := u.User.Password(); ok {
			s.hide(password, url.QueryEscape(password), url.PathEscape(password), u.User.String())
			if web && token == "" {
				token = u.User.Username() + ":" + password
			}
		} else if web && token == "" {
			token = u.User.Username() + ":"
			s.hide(u.User.Username())
		}
		if web {
			u.User = nil
		} else {
			u.User = url.User(u.User.Username())
		}
		s.url = u.String()
	}
	if token != "" && !web {
		return source{}, errors.New("following the definitions: a token is for http:// and https:// addresses; for SSH give a key file instead")
	}
	s.shown = s.url + " (" + o.Branch
	if o.Folder != "" {
		s.shown += ", folder " + o.Folder
	}
	s.shown += ")"
	ssh, err := sshCommand(o)
	if err != nil {
		return source{}, err
	}
	s.env = append(cleanEnviron(os.Environ()),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1", "GIT_ASKPASS=", "SSH_ASKPASS=",
		"LC_ALL=C", "GIT_SSH_COMMAND="+ssh)
	s.configure(token, u)
	return s, nil
}

// configure passes git's settings, the token among them, by the environment.
func (s *source) configure(token string, u *url.URL) {
	settings := [][2]string{
		{"core.hooksPath", "/dev/null"},
		{"core.symlinks", "false"},
		{"core.askPass", ""},
		{"core.fsmonitor", "false"},
		{"protocol.allow", "never"},
		{"protocol.https.allow", "always"},
		{"protocol.http.allow", "always"},
		{"protocol.ssh.allow", "always"},
		{"protocol.git.allow", "always"},
		{"protocol.file.allow", "always"},
		{"fetch.recurseSubmodules", "false"},
		{"gc.autoDetach", "false"},
		{"maintenance.autoDetach", "false"},
		// Whatever hangs below this speed for this long is a dead line.
		{"http.lowSpeedLimit", "1"},
		{"http.lowSpeedTime", "30"},
	}
	if token != "" {
		// Servers agree on Basic with the token as password; the name is free on
		// GitLab, Gitea and GitHub, and can be given as "name:token".
		pair := token
		if !strings.Contains(pair, ":") {
			pair = "oauth2:" + pair
		}
		basic := base64.StdEncoding.EncodeToString([]byte(pair))
		_, password, _ := strings.Cut(pair, ":")
		s.hide(token, password, basic)
		settings = append(settings,
			[2]string{"http." + u.Scheme + "://" + u.Host + "/.extraHeader", "Authorization: Basic " + basic},
			[2]string{"credential.helper", ""})
	}
	s.env = append(s.env, fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(settings)))
	for i, kv := range settings {
		s.env = append(s.env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, kv[1]))
	}
}

// cleanEnviron drops what would make git look elsewhere or speak differently.
func cleanEnviron(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		return strings.HasPrefix(kv, "GIT_") || strings.HasPrefix(kv, "LC_") || strings.HasPrefix(kv, "LANG") || strings.HasPrefix(kv, "SSH_ASKPASS")
	})
}

// sshCommand is run by git through a shell: every value is quoted.
func sshCommand(o Options) (string, error) {
	strict := o.StrictHostKey
	if strict == "" {
		strict = "accept-new"
		if o.KnownHosts != "" {
			strict = "yes"
		}
	}
	if !slices.Contains([]string{"yes", "accept-new", "no"}, strict) {
		return "", fmt.Errorf("following the definitions: want StrictHostKeyChecking yes, accept-new or no, got %q", strict)
	}
	command := "ssh -o BatchMode=yes -o ConnectTimeout=15 -o StrictHostKeyChecking=" + strict
	if o.SSHKey != "" {
		key, err := keyFile("the SSH key", o.SSHKey)
		if err != nil {
			return "", err
		}
		command += " -o IdentitiesOnly=yes -i " + shellQuote(strings.ReplaceAll(key, "%", "%%"))
	}
	if o.KnownHosts != "" {
		hosts, err := keyFile("the known_hosts file", o.KnownHosts)
		if err != nil {
			return "", err
		}
		command += " -o " + shellQuote(`UserKnownHostsFile="`+strings.ReplaceAll(hosts, "%", "%%")+`"`)
	}
	return command, nil
}

// keyFile checks a file that ssh would only complain about at the first fetch.
func keyFile(what, name string) (string, error) {
	if strings.ContainsAny(name, "\"\n\r\x00") {
		return "", fmt.Errorf("following the definitions: want a path without quotes and line breaks for %s, got %q", what, name)
	}
	if _, err := os.Stat(name); err != nil {
		return "", fmt.Errorf("following the definitions: %s cannot be read: %w; correct its path", what, err)
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", fmt.Errorf("following the definitions: %s: %w", what, err)
	}
	return abs, nil
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func (s *source) hide(secrets ...string) {
	for _, v := range secrets {
		if v != "" {
			s.secrets = append(s.secrets, v)
		}
	}
	slices.SortFunc(s.secrets, func(a, b string) int { return len(b) - len(a) })
}

// clean returns text without credentials.
func (s *source) clean(text string) string {
	for _, v := range s.secrets {
		text = strings.ReplaceAll(text, v, "***")
	}
	return text
}

// hints say how to mend what git reports.
var hints = []struct{ sign, mend string }{
	{"couldn't find remote ref", "the branch does not exist there; correct the branch"},
	{"Could not resolve host", "check the address and this host's DNS"},
	{"Host key verification failed", "put the server's host key into the known_hosts file"},
	{"Permission denied (publickey", "check that the SSH key is the one the server knows"},
	{"Authentication failed", "check the token and that it may read the repository"},
	{"could not read Username", "the server wants a token; configure one that may read the repository"},
	{"returned error: 403", "the token may not read the repository; grant it"},
	{"detected dubious ownership", "let the repository belong to the user who runs this program, or serve it by git"},
	{"does not appear to be a git repository", "check the address: there is no repository"},
	{"does not exist", "check the address: there is no repository"},
	{"not found", "check the address: there is no repository, or the token may not see it"},
	{"transport", "use an https://, ssh:// or file path address"},
	{"No space left on device", "free space in the data directory"},
}

func hint(stderr string) string {
	for _, h := range hints {
		if strings.Contains(stderr, h.sign) {
			return h.mend
		}
	}
	return "check the address, the network and the key or token"
}
