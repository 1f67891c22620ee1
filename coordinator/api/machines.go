package api

import (
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"strings"
)

var errUnauthorized = errors.New("want Authorization: Bearer with the right token")

func bearer(r *http.Request) string {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return token
}

// same compares a token with the one wanted. Where none is wanted none is right.
func same(got, want string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}

// member lets only the fleet's members in.
func member(h func(*server, http.ResponseWriter, *http.Request) error) func(*server, http.ResponseWriter, *http.Request) error {
	return func(s *server, w http.ResponseWriter, r *http.Request) error {
		if !same(bearer(r), s.AgentToken) {
			return errUnauthorized
		}
		return h(s, w, r)
	}
}

func (s *server) catalogBody(w http.ResponseWriter, r *http.Request) error {
	body, err := s.Writer.CatalogBody(r.Context(), r.PathValue("digest"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	return send(w, body)
}

// putEvidence takes a picture or text from an agent; Options.Evidence checks its
// token, its size and its hash.
func (s *server) putEvidence(w http.ResponseWriter, r *http.Request) error {
	s.Evidence.ServeHTTP(w, r)
	return nil
}

// poll is the Git server's webhook: look at the repository at once. Any body is
// ignored, since the repository itself is the truth. A Git server presents the
// token as a bearer or, as GitLab does, in X-Gitlab-Token.
func (s *server) poll(w http.ResponseWriter, r *http.Request) error {
	if s.GitToken == "" {
		// Without a token only this host may ask.
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			return errUnauthorized
		}
	} else if !same(bearer(r), s.GitToken) && !same(r.Header.Get("X-Gitlab-Token"), s.GitToken) {
		return errUnauthorized
	}
	s.PollGit()
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// evidence serves a picture or text that a run left behind. It came from a
// hostile page: it is never sniffed, never run, and never changes.
func (s *server) evidence(w http.ResponseWriter, r *http.Request) error {
	e, err := s.Writer.Evidence(r.Context(), r.PathValue("sha256"))
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", e.MIME)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Cache-Control", "private, max-age=31536000, immutable")
	return send(w, e.Data)
}
