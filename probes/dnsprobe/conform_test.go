package dnsprobe_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/gengfu/gengfu/probes/dnsprobe"
	"github.com/gengfu/gengfu/probes/probetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConform(t *testing.T) {
	probetest.Conform(t, probetest.Conformance{
		Kind:     dnsprobe.Kind,
		Settings: func(addr string) string { return "{query: www.example.test, servers: ['tcp://" + addr + "']}" },
	})
}
