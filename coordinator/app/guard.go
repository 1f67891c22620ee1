package app

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/gengfu/gengfu/coordinator/api"
)

// guard lets people in: with the password, or on loopback without one. It also
// refuses state-changing requests that another site's page made, and, where no
// password protects, names that are not this host's: a page elsewhere could
// otherwise make its own name point here and read along.
func guard(cfg Config, next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, http.StatusForbidden, "该请求来自其他网站的页面，已拒绝。")
	}))
	next = cross.Handler(next)
	want := sha256.Sum256([]byte(cfg.Password))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cfg.Password == "" {
			if !ours(r.Host, cfg.PublicURL) {
				refuse(w, r, http.StatusMisdirectedRequest, "请用 localhost、回环地址或 COORDINATOR_PUBLIC_URL 中的名称访问。")
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		_, password, _ := r.BasicAuth()
		got := sha256.Sum256([]byte(password))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="gengfu", charset="UTF-8"`)
			refuse(w, r, http.StatusUnauthorized, "需要登录：用户名填写姓名，密码见 COORDINATOR_PASSWORD。")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuse answers people with a line and the API's clients with a problem.
func refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		api.WriteProblem(w, status, "拒绝访问", text)
		return
	}
	http.Error(w, text, status)
}

// ours reports whether host, of a Host header, names this machine.
func ours(host, public string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	if name == "localhost" {
		return true
	}
	if ip := net.ParseIP(name); ip != nil && ip.IsLoopback() {
		return true
	}
	u, err := url.Parse(public)
	return err == nil && public != "" && name == u.Hostname()
}
