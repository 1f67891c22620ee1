package httpprobe_test

import (
	"fmt"
	"testing"

	"github.com/gengfu/gengfu/probes/httpprobe"
	"github.com/gengfu/gengfu/probes/probetest"
)

func TestConform(t *testing.T) {
	probetest.Conform(t, probetest.Conformance{
		Kind:     httpprobe.Kind,
		Settings: func(addr string) string { return "request: http://" + addr + "/\n" },
		SecretSettings: func(addr string) string {
			return fmt.Sprintf(`
request:
  method: POST
  url: "http://%s/a/${secret:CONFORM}?key=${secret:CONFORM}"
  headers: {X-Token: "${secret:CONFORM}", Cookie: "sid=${secret:CONFORM}"}
  basic: {user: probe, password: "${secret:CONFORM}"}
  json: {token: "${secret:CONFORM}", list: [{deep: "${secret:CONFORM}"}]}
expect: ["text contains 'hello'", "header('X-Echo') == ''", "url == ''", "body == ''", "title == 'x'"]
`, addr)
		},
	})
}
