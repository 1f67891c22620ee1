// Package kinds is the table of all kinds of probes: one line each.
package kinds

import (
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/browserprobe"
	"github.com/gengfu/gengfu/probes/dnsprobe"
	"github.com/gengfu/gengfu/probes/httpprobe"
	"github.com/gengfu/gengfu/probes/icmpprobe"
	"github.com/gengfu/gengfu/probes/tcpprobe"
	"github.com/gengfu/gengfu/probes/tlsprobe"
	"github.com/gengfu/gengfu/probes/wsprobe"
)

// All returns the table, ordered by name. The caller may change it.
func All() []probes.Kind {
	return []probes.Kind{
		browserprobe.Kind,
		dnsprobe.Kind,
		httpprobe.Kind,
		icmpprobe.Kind,
		tcpprobe.Kind,
		tlsprobe.Kind,
		wsprobe.Kind,
	}
}
