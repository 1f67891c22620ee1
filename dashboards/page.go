package dashboards

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes/wording"
)

// page is what every template gets; D is the page's own part. Its methods are
// the words and figures of the templates, in the reader's language and at one
// moment, so that no two parts of a page disagree about "now".
type page struct {
	Lang   wording.Lang
	Org    string
	Title  string // of the page, without 更夫
	Alarm  int    // services down or incidents open: shown in the tab's title
	Nav    string // which entry of the navigation is current
	Now    time.Time
	By     string // the acting person's name, remembered in a cookie
	Path   string // of the request
	Other  string // this page's address in the other language
	Live   string // event kinds that refresh the page, space-separated; empty for none
	LiveOn string // the service the page is about; empty for all
	D      any

	assets *assets
}

// part is a page with a piece of its data, for partial templates.
type part struct {
	*page
	V any
}

// With hands v to a partial template together with the page's words.
func (p *page) With(v any) part { return part{p, v} }

// Asset is the address of a static file.
func (p *page) Asset(name string) (string, error) { return p.assets.url(name) }

const (
	cookieLang = "gengfu_lang"
	cookieName = "gengfu_name"
	// nameMax and textMax bound what a person types, in runes.
	nameMax = 40
	textMax = 4000
)

// open starts the page that answers r.
func (s *site) open(w http.ResponseWriter, r *http.Request, nav string) *page {
	p := &page{Org: s.org, Nav: nav, Now: s.now(), Path: r.URL.Path, assets: s.assets}
	q := r.URL.Query()
	switch asked := q.Get("lang"); asked {
	case string(wording.ZH), string(wording.EN):
		p.Lang = wording.Lang(asked)
		keepCookie(w, cookieLang, asked)
	default:
		c, err := r.Cookie(cookieLang)
		if err == nil {
			p.Lang = wording.ParseLang(c.Value)
		} else {
			p.Lang = wording.ZH
		}
	}
	if c, err := r.Cookie(cookieName); err == nil {
		if name, err := url.QueryUnescape(c.Value); err == nil {
			p.By = cut(name, nameMax)
		}
	}
	other := wording.EN
	if p.Lang == wording.EN {
		other = wording.ZH
	}
	q.Set("lang", string(other))
	p.Other = "?" + q.Encode()
	return p
}

func keepCookie(w http.ResponseWriter, name, value string) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: 400 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// render writes a page; it is made whole first, so that a fault in a template
// is a clean error and not half a page.
func (s *site) render(w http.ResponseWriter, r *http.Request, status int, file string, p *page) {
	var buf bytes.Buffer
	if err := s.pages[file].ExecuteTemplate(&buf, "layout", p); err != nil {
		s.log.Error("page was not rendered", "page", file, "path", r.URL.Path, "err", err)
		http.Error(w, "页面生成失败，详情见协调器日志。The page could not be made; see the coordinator's log.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Add("Vary", "Cookie")
	w.WriteHeader(status)
	// A reader who went away is no event.
	_, _ = w.Write(buf.Bytes())
}

// message is a page that says one thing.
type message struct {
	Head, Text, Back string
}

func (s *site) say(w http.ResponseWriter, r *http.Request, status int, head, text, back string) {
	p := s.open(w, r, "")
	p.Title = p.t(head)
	p.D = message{Head: p.Title, Text: p.t(text), Back: back}
	s.render(w, r, status, "message.html", p)
}

// fail answers an error of Source or Actions. The reader learns what to do, the
// log learns the cause: an internal error may hold what no page should show.
func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, view.ErrNotFound):
		s.say(w, r, http.StatusNotFound, "error.missing", "error.missing.text", "/")
	case errors.Is(err, context.Canceled):
		return
	default:
		s.log.Error("page has no data", "path", r.URL.Path, "err", err)
		s.say(w, r, http.StatusInternalServerError, "error.internal", "error.internal.text", r.URL.Path)
	}
}

func (s *site) nowhere(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		s.say(w, r, http.StatusMethodNotAllowed, "error.method", "error.method.text", "/")
		return
	}
	s.fail(w, r, view.ErrNotFound)
}

func (s *site) foreign(w http.ResponseWriter, r *http.Request) {
	s.say(w, r, http.StatusForbidden, "error.foreign", "error.foreign.text", "/")
}

// form reads a POSTed form and the acting person's name, which it remembers.
// When it returns false it has answered.
func (s *site) form(w http.ResponseWriter, r *http.Request, back string) (by string, ok bool) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		s.say(w, r, http.StatusBadRequest, "error.form", "error.form.text", back)
		return "", false
	}
	by = cut(oneLine(r.PostForm.Get("by")), nameMax)
	if by == "" {
		s.say(w, r, http.StatusUnprocessableEntity, "error.name", "error.name.text", back)
		return "", false
	}
	keepCookie(w, cookieName, url.QueryEscape(by))
	return by, true
}

func oneLine(s string) string { return strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ") }

// cut bounds s to n runes.
func cut(s string, n int) string {
	count := 0
	for i := range s {
		if count == n {
			return s[:i]
		}
		count++
	}
	return s
}
