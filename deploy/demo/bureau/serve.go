package bureau

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// bodyMax bounds, in bytes, what a hanging service takes in.
const bodyMax = 1 << 20

//go:embed static
var staticFiles embed.FS

//go:embed pages
var pageFiles embed.FS

// visit is one request to a service.
type visit struct {
	*http.Request
	service Service
	now     time.Time
}

// origin is the address of another host of the bureau, by the scheme and port
// that the visitor used.
func (v visit) origin(host string) string {
	scheme := "http"
	if v.TLS != nil {
		scheme = "https"
	}
	if _, port, err := net.SplitHostPort(v.Host); err == nil {
		host = net.JoinHostPort(host, port)
	}
	return scheme + "://" + host
}

// answer is a reply before it is encoded; its body is UTF-8 whatever charset says.
type answer struct {
	status  int
	header  map[string]string
	kind    string // MIME type
	charset string // "" declares none
	body    string
}

// ServeHTTP serves the public services of all hosts, as the faults have it.
func (b *Bureau) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service, ok := find(r.Host, r.URL.Path)
	if !ok {
		b.serveRest(w, r)
		return
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	fault := b.switches.seen(service, b.siteAddr(local))
	b.log.Debug("request", "service", service.Code, "method", r.Method, "path", r.URL.Path, "fault", string(fault))
	v := visit{Request: r, service: service, now: time.Now()}
	switch fault {
	case FaultUnreachable:
		cut(w)
		return
	case FaultHang:
		b.hang(w, r, service)
		return
	case FaultSlow:
		select {
		case <-time.After(b.delay):
		case <-r.Context().Done():
			return
		}
	case FaultError500, FaultMaintenance, FaultBlank, FaultSoft404, FaultWAF405:
		write(w, b.unwell(v, fault), false)
		return
	case FaultBizCode:
		write(w, refusal(service), false)
		return
	}
	if isSocket(r) {
		b.socket(w, v)
		return
	}
	write(w, service.serve(b, v), fault == FaultGBK)
}

// hang answers nothing until the visitor gives up or the fault is over.
func (b *Bureau) hang(w http.ResponseWriter, r *http.Request, service Service) {
	// Only once the body is read does the server notice that a visitor left.
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, bodyMax)); err != nil {
		return
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	for {
		changed := b.switches.next()
		if b.switches.seen(service, b.siteAddr(local)) != FaultHang {
			cut(w)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// serveRest serves what belongs to no service: pictures and styles, the hosts
// that services send people to, and an honest 404.
func (b *Bureau) serveRest(w http.ResponseWriter, r *http.Request) {
	v := visit{Request: r, now: time.Now()}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	switch {
	case strings.HasPrefix(r.URL.Path, "/static/"):
		w.Header().Set("Cache-Control", "no-cache")
		http.FileServerFS(staticFiles).ServeHTTP(w, r)
	case r.URL.Path == "/favicon.ico":
		http.ServeFileFS(w, r, staticFiles, "static/emblem.svg")
	case host == hostSSO && strings.HasPrefix(r.URL.Path, "/auth"):
		write(w, b.html(v, "sso", "统一身份认证", r.URL.Query().Get("return")), false)
	case host == hostAuthorise && r.URL.Path == "/connect/oauth2/authorize":
		write(w, authorise(b, v), false)
	default:
		a := b.html(v, "notfound", "页面不存在", nil)
		a.status = http.StatusNotFound
		write(w, a, false)
	}
}

// cut resets the connection, so that the visitor sees neither reply nor farewell.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // closes the connection, if less rudely
	}
	raw := conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		raw = t.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		// No linger makes the kernel send a reset. When that fails the close is
		// still a broken connection.
		_ = tcp.SetLinger(0)
	}
	raw.Close()
}

// write encodes and sends an answer. Mislabelled sends GB18030 as UTF-8.
func write(w http.ResponseWriter, a answer, mislabelled bool) {
	charset, body := a.charset, []byte(a.body)
	gbk := strings.EqualFold(charset, "gbk")
	if gbk || mislabelled && charset != "" {
		// GB18030 has every character, so nothing is lost but by a broken text.
		encoded, err := simplifiedchinese.GB18030.NewEncoder().Bytes(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body = encoded
	}
	if gbk && mislabelled {
		charset = "utf-8"
		body = bytes.Replace(body, []byte(`charset="gbk"`), []byte(`charset="utf-8"`), 1)
		body = bytes.Replace(body, []byte(`encoding="GBK"`), []byte(`encoding="UTF-8"`), 1)
	}
	contentType := a.kind
	if charset != "" {
		contentType += "; charset=" + charset
	}
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(cmp.Or(a.status, http.StatusOK))
	// The visitor may have gone; there is nobody to tell.
	_, _ = w.Write(body)
}

// loadPages parses every page with the layout of its channel.
func loadPages() (map[string]*template.Template, error) {
	files, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("listing the pages: %w", err)
	}
	pages := map[string]*template.Template{}
	for _, f := range files {
		name := strings.TrimSuffix(path.Base(f), ".html")
		if strings.HasPrefix(name, "layout-") {
			continue
		}
		layout := layoutOf(name) + ".html"
		t, err := template.New(layout).ParseFS(pageFiles, "pages/"+layout, f)
		if err != nil {
			return nil, fmt.Errorf("parsing the page %s: %w", name, err)
		}
		pages[name] = t
	}
	return pages, nil
}

// layoutOf is the frame of a page, by the channel in its name.
func layoutOf(name string) string {
	switch {
	case strings.HasPrefix(name, "pt-"), name == "sso":
		return "layout-portal"
	case strings.HasPrefix(name, "wx-"), strings.HasPrefix(name, "app-"):
		return "layout-h5"
	default:
		return "layout-bare" // stand-ins, as a gateway in front would send them
	}
}

// shown is what a page's template reads.
type shown struct {
	Service Service
	Title   string
	Charset string
	Now     time.Time
	Data    any
}

// Day is a date some days ago, as pages print it.
func (s shown) Day(ago int) string { return s.Now.In(zone).AddDate(0, 0, -ago).Format("2006-01-02") }

// Month is a month some months ago.
func (s shown) Month(ago int) string {
	y, m, _ := s.Now.In(zone).Date()
	return time.Date(y, m-time.Month(ago), 1, 0, 0, 0, 0, zone).Format("2006-01")
}

// Elder reports whether the page is the one for elders, which has its own style.
func (s shown) Elder() bool { return s.Service.Code == "APP-06" }

// zone is the bureau's.
var zone = time.FixedZone("Asia/Shanghai", 8*60*60)

// html renders a page; a page that does not render is our own mistake and says so.
func (b *Bureau) html(v visit, name, title string, data any) answer {
	return b.htmlIn(v, name, title, "utf-8", data)
}

func (b *Bureau) htmlIn(v visit, name, title, charset string, data any) answer {
	t, ok := b.pages[name]
	if !ok {
		return answer{status: http.StatusInternalServerError, kind: "text/plain", charset: "utf-8", body: "no page " + name}
	}
	var out bytes.Buffer
	if err := t.Execute(&out, shown{v.service, title, charset, v.now, data}); err != nil {
		b.log.Error("rendering a page", "page", name, "err", err)
		return answer{status: http.StatusInternalServerError, kind: "text/plain", charset: "utf-8", body: err.Error()}
	}
	return answer{kind: "text/html", charset: charset, body: out.String()}
}
