package api

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

var errUnauthorized = errors.New("want Authorization: Bearer with the right token")

func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// member lets only the fleet's members in.
func (s *server) member(h func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !same(bearer(r), s.AgentToken) {
			return errUnauthorized
		}
		return h(w, r)
	}
}

func (s *server) catalogBody(w http.ResponseWriter, r *http.Request) error {
	body, err := s.Writer.CatalogBody(r.Context(), r.PathValue("digest"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("writing the catalog: %w", err)
	}
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
	if _, err := w.Write(e.Data); err != nil {
		return fmt.Errorf("writing evidence: %w", err)
	}
	return nil
}
