package app

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gengfu/gengfu/probes"
)

// metrics is what /metrics exposes about the fleet and this process.
type metrics struct {
	registry *prometheus.Registry
	app      *App

	services, agents, clients, dropped, incidents *prometheus.Desc
}

func newMetrics(a *App) *metrics {
	m := &metrics{
		registry:  prometheus.NewRegistry(),
		app:       a,
		services:  prometheus.NewDesc("gengfu_services", "Services by their verdict now.", []string{"verdict"}, nil),
		agents:    prometheus.NewDesc("gengfu_agents_alive", "Agents alive by gossip.", nil, nil),
		incidents: prometheus.NewDesc("gengfu_incidents_open", "Incidents that last.", nil, nil),
		clients:   prometheus.NewDesc("gengfu_live_pages", "Open streams of live events.", nil, nil),
		dropped:   prometheus.NewDesc("gengfu_live_events_dropped_total", "Events that slow pages lost.", nil, nil),
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), m)
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError, MaxRequestsInFlight: 4})
}

// Describe lists the metrics.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.services, m.agents, m.incidents, m.clients, m.dropped} {
		out <- d
	}
}

// Collect reads the figures. What cannot be read is an invalid metric, so that a
// scrape fails loudly instead of showing zero.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(m.clients, prometheus.GaugeValue, float64(m.app.hub.Clients()))
	out <- prometheus.MustNewConstMetric(m.dropped, prometheus.CounterValue, float64(m.app.hub.Dropped()))
	// The collector's interface has no context; the bound is the scrape's usual one.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	o, err := m.app.view.Overview(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(m.services, err)
		return
	}
	for _, v := range probes.Verdicts() {
		out <- prometheus.MustNewConstMetric(m.services, prometheus.GaugeValue, float64(o.Counts[v.String()]), v.String())
	}
	out <- prometheus.MustNewConstMetric(m.agents, prometheus.GaugeValue, float64(o.Agents.Alive))
	out <- prometheus.MustNewConstMetric(m.incidents, prometheus.GaugeValue, float64(len(o.Incidents)))
}
