package tcpprobe_test

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/gengfu/gengfu/probes/probetest"
	"github.com/gengfu/gengfu/probes/tcpprobe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConform(t *testing.T) {
	probetest.Conform(t, probetest.Conformance{
		Kind: tcpprobe.Kind,
		Settings: func(addr string) string {
			return fmt.Sprintf("target: %q\ndialogue:\n- send: \"PING\\r\\n\"\n  until: PONG\n", addr)
		},
		SecretSettings: func(addr string) string {
			return fmt.Sprintf(`
target: %q
dialogue:
- send: "GET / HTTP/1.0\r\nX-Token: ${secret:CONFORM}\r\n\r\n"
  until: {regexp: "(?s)^HTTP/1.1 500 .*X-Token: .*X-Token"}
- until: nothing that comes
expect: ["text == 'x'", "hex == 'x'", "banner == 'x'"]
`, addr)
		},
	})
}
