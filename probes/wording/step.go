package wording

import (
	"regexp"
	"strings"

	"github.com/gengfu/gengfu/probes"
)

// steps are the first words of the names that the kinds give to their steps.
var steps = map[string]pair{
	stepRequest:             {"请求", "request"},
	stepRedirect:            {"跳转", "redirect"},
	stepStep:                {"步骤", "step"},
	stepNode:                {"节点", "node"},
	stepIPv4:                {"经 IPv4", "over IPv4"},
	stepIPv6:                {"经 IPv6", "over IPv6"},
	stepHandshake:           {"加密握手", "handshake"},
	stepAIA:                 {"补齐证书链", "repair of the chain"},
	stepTLCP:                {"国密握手", "TLCP handshake"},
	stepVersions:            {"协议版本检查", "versions"},
	stepConnect:             {"连接", "connect"},
	stepExchange:            {"对话", "exchange"},
	stepQuery:               {"查询", "query"},
	stepClose:               {"关闭", "close"},
	stepPing:                {"Ping", "ping"},
	string(probes.OpOpen):   {"打开", "open"},
	string(probes.OpSee):    {"看到", "see"},
	string(probes.OpNotSee): {"不应看到", "not see"},
	string(probes.OpTap):    {"点按", "tap"},
	string(probes.OpFill):   {"填写", "fill"},
	string(probes.OpSelect): {"选择", "select"},
	string(probes.OpPress):  {"按键", "press"},
	string(probes.OpWait):   {"等待", "wait for"},
	string(probes.OpRun):    {"执行脚本", "run"},
}

// The steps of an HTTP probe: its first request, and "redirect 1", "redirect 2"…;
// of a flow "step 登录" or "step 2"; of several nodes "node 10.0.0.1", and of both
// families "ipv4" and "ipv6", each followed by " / " and the step inside, if any.
const (
	stepRequest  = "request"
	stepRedirect = "redirect"
	stepStep     = "step"
	stepNode     = "node"
	stepIPv4     = "ipv4"
	stepIPv6     = "ipv6"
)

var number = regexp.MustCompile(`^\d+$`)

// The steps of a TLS probe.
const (
	stepHandshake = "handshake"
	stepAIA       = "aia"
	stepTLCP      = "tlcp"
	stepVersions  = "versions"
)

// The steps of probes of ports, name servers, WebSockets and echoes: "exchange 1",
// "exchange 2"…, and "query" with the name server.
const (
	stepConnect  = "connect"
	stepExchange = "exchange"
	stepQuery    = "query"
	stepClose    = "close"
	stepPing     = "ping"
)

// worded matches a selector that goes by the words that people see.
var worded = regexp.MustCompile(`^(?:(?:text|label)=|role=[a-z]+:)(.+)$`)

// Step is the name of a step for people: "tap text=查询" is 「点按 查询」. A name
// that no kind gives is left as it is.
func Step(l Lang, name string) string {
	if outer, inner, two := strings.Cut(name, " / "); two && parts(outer) {
		return Step(l, outer) + pair{" 的", ", "}.in(l) + Step(l, inner)
	}
	op, rest, more := strings.Cut(name, " ")
	word, ok := steps[op]
	switch {
	case !ok:
		return name
	case !more:
		return word.in(l)
	case op == stepRedirect:
		return pair{"第 " + rest + " 次跳转", "redirect " + rest}.in(l)
	case op == stepStep && number.MatchString(rest):
		return pair{"第 " + rest + " 步", "step " + rest}.in(l)
	case op == stepStep:
		return rest
	case op == stepExchange:
		return pair{"第 " + rest + " 次对话", "exchange " + rest}.in(l)
	}
	switch probes.Op(op) {
	case probes.OpTap, probes.OpFill, probes.OpSelect, probes.OpWait:
		fields := strings.Split(rest, ", ")
		for i := range fields {
			fields[i] = worded.ReplaceAllString(fields[i], "$1")
		}
		rest = strings.Join(fields, ", ")
	}
	return word.in(l) + " " + rest
}

// parts reports whether a step is one of several ways through a probe, or one of
// several steps of it: a finding says in which it came true.
func parts(name string) bool {
	op, _, _ := strings.Cut(name, " ")
	return op == stepStep || op == stepNode || op == stepIPv4 || op == stepIPv6
}
