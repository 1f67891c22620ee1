package tlsprobe_test

import (
	"testing"

	"github.com/gengfu/gengfu/probes/probetest"
	"github.com/gengfu/gengfu/probes/tlsprobe"
)

func TestConform(t *testing.T) {
	probetest.Conform(t, probetest.Conformance{
		Kind:     tlsprobe.Kind,
		Settings: func(addr string) string { return "target: " + addr + "\n" },
	})
}

func TestConformByTLCPAlone(t *testing.T) {
	probetest.Conform(t, probetest.Conformance{
		Kind:     tlsprobe.Kind,
		Settings: func(addr string) string { return "{target: \"" + addr + "\", tlcp: only}\n" },
	})
}

func TestConformByBoth(t *testing.T) {
	probetest.Conform(t, probetest.Conformance{
		Kind:     tlsprobe.Kind,
		Settings: func(addr string) string { return "{target: \"" + addr + "\", tlcp: expected, scan: true}\n" },
	})
}
