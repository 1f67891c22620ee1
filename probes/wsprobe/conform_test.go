package wsprobe_test

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/gengfu/gengfu/probes/probetest"
	"github.com/gengfu/gengfu/probes/wsprobe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConform(t *testing.T) {
	probetest.Conform(t, probetest.Conformance{
		Kind:     wsprobe.Kind,
		Settings: func(addr string) string { return "url: ws://" + addr + "/socket" },
		SecretSettings: func(addr string) string {
			return fmt.Sprintf(`
url: ws://%s/socket?token=x
headers: {X-Token: "${secret:CONFORM}", Authorization: "Bearer ${secret:CONFORM}"}
dialogue: [{send: "${secret:CONFORM}", until: x}]
expect: ["header('X-Echo') == ''", "text == 'x'"]
`, addr)
		},
	})
}
