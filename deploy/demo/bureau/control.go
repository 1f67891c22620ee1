package bureau

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"slices"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/wording"
)

//go:embed control.html
var controlSource string

var controlPage = template.Must(template.New("control").Parse(controlSource))

// controlHandler is the port of the switches: pages that work without a script,
// an API, and the receiver of alerts.
func (b *Bureau) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/_faults", http.StatusFound) })
	mux.HandleFunc("GET /_faults", b.showFaults)
	mux.HandleFunc("POST /_faults", b.submitFault)
	mux.HandleFunc("GET /_faults.json", b.listFaults)
	mux.HandleFunc("DELETE /_faults", b.clearFaults)
	mux.HandleFunc("GET /_faults/{service}", b.getFault)
	mux.HandleFunc("PUT /_faults/{service}", b.putFault)
	mux.HandleFunc("DELETE /_faults/{service}", b.deleteFault)
	mux.HandleFunc("GET /_alerts", b.showAlerts)
	mux.HandleFunc("GET /_alerts.json", b.listAlerts)
	mux.HandleFunc("POST /_alerts", b.takeAlert)
	mux.HandleFunc("GET /static/", func(w http.ResponseWriter, r *http.Request) { http.FileServerFS(staticFiles).ServeHTTP(w, r) })
	// A page elsewhere must not flip switches in the browser of whoever shows the demo.
	return http.NewCrossOriginProtection().Handler(mux)
}

// row is one service on the page of switches.
type row struct {
	Service
	Switch Switch
	Label  string // of the fault that is on
	Only   string // name of the only site that sees it; empty for all
	Faults []option
}

type option struct {
	Name  Fault
	Label string
}

type group struct {
	Title string
	Rows  []row
}

// site is one choice of where a fault is seen.
type site struct{ Addr, Name string }

type faultsView struct {
	Title  string
	Tab    string
	Error  string
	On     int
	Sites  []site
	Groups []group
	Alerts []shownAlert
}

func (b *Bureau) faultsView(problem error) faultsView {
	v := faultsView{Title: "故障开关", Tab: "faults"}
	for _, a := range b.addrs {
		v.Sites = append(v.Sites, site{a, b.siteName(a)})
	}
	if problem != nil {
		v.Error = problem.Error()
	}
	for _, c := range probes.Channels() {
		g := group{Title: wording.Channel(wording.ZH, c)}
		for _, s := range services {
			if s.Channel != c {
				continue
			}
			sw, _ := b.switches.Get(s.ID()) // it is in the table
			r := row{Service: s, Switch: sw, Label: sw.Fault.Label(), Only: b.siteName(sw.Site)}
			for _, f := range FaultsOf(s) {
				r.Faults = append(r.Faults, option{f, f.Label()})
			}
			if sw.Fault != "" {
				v.On++
			}
			g.Rows = append(g.Rows, r)
		}
		v.Groups = append(v.Groups, g)
	}
	return v
}

// siteName is what people call a site: its name where it has one, else its address.
func (b *Bureau) siteName(addr string) string {
	if i := slices.Index(b.addrs, addr); i >= 0 && i < len(b.names) {
		return b.names[i]
	}
	return addr
}

func (b *Bureau) render(w http.ResponseWriter, status int, v faultsView) {
	var out bytes.Buffer
	if err := controlPage.Execute(&out, v); err != nil {
		b.log.Error("rendering the control page", "err", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // the reader may have gone
}

func (b *Bureau) showFaults(w http.ResponseWriter, _ *http.Request) {
	b.render(w, http.StatusOK, b.faultsView(nil))
}

// submitFault is the page's form: an empty fault makes well, an empty service all.
func (b *Bureau) submitFault(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	service, fault := r.FormValue("service"), Fault(r.FormValue("fault"))
	var err error
	switch {
	case service == "":
		b.switches.ClearAll()
	case fault == "":
		err = b.switches.Clear(service)
	default:
		_, err = b.switches.Set(service, fault, r.FormValue("site"))
	}
	if err != nil {
		b.render(w, http.StatusBadRequest, b.faultsView(err))
		return
	}
	b.log.Info("fault switched", "service", service, "fault", string(fault), "site", r.FormValue("site"))
	to := "/_faults"
	if s, ok := named(service); ok {
		to += "#" + s.ID()
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (b *Bureau) listFaults(w http.ResponseWriter, _ *http.Request) {
	out := []Switch{}
	for _, s := range services {
		if sw, _ := b.switches.Get(s.ID()); sw.Fault != "" {
			out = append(out, sw)
		}
	}
	reply(w, http.StatusOK, out)
}

func (b *Bureau) clearFaults(w http.ResponseWriter, _ *http.Request) {
	b.switches.ClearAll()
	b.log.Info("all faults switched off")
	w.WriteHeader(http.StatusNoContent)
}

func (b *Bureau) getFault(w http.ResponseWriter, r *http.Request) {
	sw, err := b.switches.Get(r.PathValue("service"))
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, sw)
}

func (b *Bureau) putFault(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Fault Fault  `json:"fault"`
		Site  string `json:"site"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		refuse(w, fmt.Errorf("请求应为 JSON，例如 {\"fault\": \"error500\", \"site\": \"\"}：%w", err))
		return
	}
	sw, err := b.switches.Set(r.PathValue("service"), in.Fault, in.Site)
	if err != nil {
		refuse(w, err)
		return
	}
	b.log.Info("fault switched", "service", sw.Service, "fault", string(sw.Fault), "site", sw.Site)
	reply(w, http.StatusOK, sw)
}

func (b *Bureau) deleteFault(w http.ResponseWriter, r *http.Request) {
	if err := b.switches.Clear(r.PathValue("service")); err != nil {
		refuse(w, err)
		return
	}
	b.log.Info("fault switched off", "service", r.PathValue("service"))
	w.WriteHeader(http.StatusNoContent)
}

func (b *Bureau) showAlerts(w http.ResponseWriter, _ *http.Request) {
	b.render(w, http.StatusOK, faultsView{Title: "收到的告警", Tab: "alerts", Alerts: b.alerts.shown()})
}

func (b *Bureau) listAlerts(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, b.alerts.bodies())
}

// takeAlert records an alert. The same delivery twice is one alert.
func (b *Bureau) takeAlert(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAlert))
	if err != nil {
		refuse(w, fmt.Errorf("读取告警：%w", err))
		return
	}
	if err := b.alerts.take(body); err != nil {
		refuse(w, err)
		return
	}
	b.log.Info("alert received")
	w.WriteHeader(http.StatusNoContent)
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if errors.Is(err, ErrNoService) {
		status = http.StatusNotFound
	}
	reply(w, status, map[string]string{"error": err.Error()})
}

func reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the caller may have gone
}
