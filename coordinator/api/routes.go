package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gengfu/gengfu/coordinator/view"
)

// route is one method of one path.
type route struct {
	pattern string   // as http.ServeMux reads it
	query   []string // the query parameters that it knows; any other is refused
	do      func(*server, http.ResponseWriter, *http.Request) error
}

// people are the routes for people and their programs.
var people = []route{
	{"GET /api/v1/overview", nil, (*server).overview},
	{"GET /api/v1/services", nil, (*server).services},
	{"GET /api/v1/services/{id}", nil, (*server).service},
	{"GET /api/v1/probes/{service}/{probe}/runs", []string{"from", "to", "limit", "cursor"}, (*server).runs},
	{"GET /api/v1/runs/{trace_id}", nil, (*server).run},
	{"GET /api/v1/availability", []string{"from", "to", "service"}, (*server).availability},
	{"GET /api/v1/incidents", []string{"service", "open", "from", "to", "limit", "cursor"}, (*server).incidents},
	{"GET /api/v1/incidents/{id}", nil, (*server).incident},
	{"POST /api/v1/incidents/{id}/ack", nil, (*server).ack},
	{"POST /api/v1/incidents/{id}/notes", nil, (*server).note},
	{"GET /api/v1/alerts", []string{"limit", "cursor"}, (*server).alerts},
	{"GET /api/v1/silences", nil, (*server).silences},
	{"GET /api/v1/agents", nil, (*server).agents},
	{"GET /api/v1/catalog", nil, (*server).catalog},
	{"GET /api/v1/records", nil, (*server).records},
	{"GET /api/v1/records/{file}", nil, (*server).record},
	{"GET /api/v1/evidence/{sha256}", nil, (*server).evidence},
	{"GET /api/v1/events", nil, (*server).events},
	{"GET /api/openapi.json", nil, (*server).openapi},
}

// machines are the doors that machines use with tokens of their own: agents with
// the fleet's token, the Git server with its webhook's. A webhook may add
// parameters of its own, so none is refused.
var machines = []route{
	{pattern: "GET /api/v1/catalog/{digest}", do: member((*server).catalogBody)},
	{pattern: "PUT /api/v1/evidence/{sha256}", do: (*server).putEvidence},
	{pattern: "POST /api/v1/catalog/poll", do: (*server).poll},
}

// Register adds the people's part of the API to mux.
func Register(mux *http.ServeMux, o Options) {
	s := &server{o}
	for _, r := range people {
		mux.Handle(r.pattern, s.handle(func(w http.ResponseWriter, q *http.Request) error {
			if err := known(q, r.query); err != nil {
				return err
			}
			return r.do(s, w, q)
		}))
	}
	// Under /api every answer is the API's: without this the pages' catch-all
	// would answer a wrong method or a mistyped path with a page.
	mux.Handle("/api/", s.handle(lost()))
}

// RegisterMachines adds the doors for machines to mux.
func RegisterMachines(mux *http.ServeMux, o Options) {
	s := &server{o}
	for _, r := range machines {
		mux.Handle(r.pattern, s.handle(func(w http.ResponseWriter, q *http.Request) error { return r.do(s, w, q) }))
	}
}

// known refuses what a route does not understand: a mistyped filter that is
// ignored would show everything as if it had been asked for.
func known(r *http.Request, names []string) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badRequest("query: %s", err)
	}
	for name, values := range q {
		switch {
		case !slices.Contains(names, name) && len(names) == 0:
			return badRequest("query: want no parameter, got %q", name)
		case !slices.Contains(names, name):
			return badRequest("query: want one of %s, got %q", strings.Join(names, ", "), name)
		case len(values) > 1:
			return badRequest("%s: want it once, got it %d times", name, len(values))
		}
	}
	return nil
}

// lost answers what no route serves: 405 where another method would do, else 404.
func lost() func(http.ResponseWriter, *http.Request) error {
	all := http.NewServeMux()
	for _, r := range slices.Concat(people, machines) {
		all.Handle(r.pattern, http.NotFoundHandler())
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		var allow []string
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut} {
			if _, pattern := all.Handler(&http.Request{Method: method, Host: r.Host, URL: r.URL}); pattern != "" {
				allow = append(allow, method)
			}
		}
		if len(allow) == 0 {
			return view.ErrNotFound
		}
		w.Header().Set("Allow", strings.Join(allow, ", "))
		return refused{http.StatusMethodNotAllowed, fmt.Sprintf("want one of %s, got %s", strings.Join(allow, ", "), r.Method)}
	}
}

// refused is an error whose text may be shown: it speaks of the request.
type refused struct {
	status int
	text   string
}

// Error implements error.
func (e refused) Error() string { return e.text }

func badRequest(format string, args ...any) error {
	return refused{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// titles are the problems' titles by status.
var titles = map[int]string{
	http.StatusBadRequest:            "请求有误",
	http.StatusMethodNotAllowed:      "不支持该方法",
	http.StatusRequestEntityTooLarge: "内容过大",
	http.StatusUnsupportedMediaType:  "不支持该内容类型",
}

func (s *server) handle(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		var bad refused
		switch {
		case err == nil, errors.Is(err, errGone):
		case errors.As(err, &bad):
			WriteProblem(w, bad.status, titles[bad.status], bad.text)
		case errors.Is(err, errUnauthorized):
			w.Header().Set("WWW-Authenticate", `Bearer realm="gengfu"`)
			WriteProblem(w, http.StatusUnauthorized, "需要令牌", err.Error())
		case errors.Is(err, view.ErrNotFound):
			WriteProblem(w, http.StatusNotFound, "没有找到", "")
		case r.Context().Err() != nil: // the client went away: nobody reads an answer
		default:
			s.Logger.Error("answering failed", "method", r.Method, "path", r.URL.Path, "err", err)
			WriteProblem(w, http.StatusInternalServerError, "服务器内部错误", "详情见协调器日志")
		}
	})
}
