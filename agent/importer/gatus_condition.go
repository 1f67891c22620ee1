package importer

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// term is one side of a condition.
type term struct {
	expr   string // as an expression has it; "" of a literal
	nature nature
	text   string // of a literal, or the arguments of pat and any
}

// nature is what a term is compared as.
type nature uint8

const (
	isLiteral   nature = iota
	isPattern          // pat(…)
	isAny              // any(…, …)
	isNumber           // status, len(…)
	isText             // ip, body, rcode
	isJSON             // a value whose type only the reply tells
	isTime             // response time, literals in milliseconds
	isDays             // certificate, literals are durations
	isHas              // has(…), literals are true and false
	isConnected        // implied by every probe
	isAnswers          // a list of texts, one of which is meant
)

// words are what placeholders are called by a kind of probe; "" where it has none.
type words struct {
	body  string // the whole reply as text
	json  bool   // the reply may be JSON
	days  string
	rcode string
	list  string // the whole reply as a list of texts, in place of body
}

// comparesSecret says why a condition that holds a secret is left.
const comparesSecret = "it compares with a secret, and expectations hold none; take one that may be read"

// indexed matches a path that leads through a place in a list.
var indexed = regexp.MustCompile(`\[[0-9]`)

// operators in the order in which the source looks for them.
var operators = []string{"==", "!=", "<=", ">=", ">", "<"}

// gatusCondition makes an expression of a condition. Both results empty: every
// probe demands it anyway. Why says why there is no expression.
func gatusCondition(src string, w words) (expr, why string) {
	for _, op := range operators {
		left, right, ok := strings.Cut(src, " "+op+" ")
		if !ok {
			continue
		}
		a, why := w.term(strings.TrimSpace(left))
		if why != "" {
			return "", why
		}
		b, why := w.term(strings.TrimSpace(right))
		if why != "" {
			return "", why
		}
		if a.nature <= isAny {
			a, b, op = b, a, mirrored(op)
		}
		return compare(a, op, b)
	}
	return "", "it holds none of the operators " + strings.Join(operators, " ")
}

func mirrored(op string) string {
	switch op[0] {
	case '<':
		return ">" + op[1:]
	case '>':
		return "<" + op[1:]
	}
	return op
}

// term reads one side of a condition.
func (w words) term(s string) (term, string) {
	if inner, ok := call("len", s); ok {
		t, why := w.term(inner)
		if t.nature != isJSON && t.expr != w.body {
			return t, "len() is understood of [BODY] alone"
		}
		if t.nature != isJSON {
			t.expr = "json" // the source counts the elements of a whole body, too
		}
		return term{expr: "len(" + t.expr + ")", nature: isNumber}, why
	}
	if inner, ok := call("has", s); ok {
		path, isBody := strings.CutPrefix(inner, "[BODY]")
		expr, understood := jsonPath(path, true)
		if !isBody || !understood || !w.json {
			return term{}, "has() is understood of a path such as [BODY].data.total alone"
		}
		return term{expr: expr, nature: isHas}, ""
	}
	if inner, ok := call("pat", s); ok {
		return term{text: inner, nature: isPattern}, ""
	}
	if inner, ok := call("any", s); ok {
		return term{text: inner, nature: isAny}, ""
	}
	switch {
	case s == "[STATUS]":
		return term{expr: "status", nature: isNumber}, ""
	case s == "[IP]":
		return term{expr: "ip", nature: isText}, ""
	case s == "[RESPONSE_TIME]":
		return term{expr: "latency", nature: isTime}, ""
	case s == "[CONNECTED]":
		return term{expr: "connected", nature: isConnected}, ""
	case s == "[CERTIFICATE_EXPIRATION]":
		return w.has(w.days, isDays, s)
	case s == "[DNS_RCODE]":
		return w.has(w.rcode, isText, s)
	case s == "[BODY]" && w.list != "":
		return term{expr: w.list, nature: isAnswers}, ""
	case s == "[BODY]":
		return w.has(w.body, isText, s)
	case strings.HasPrefix(s, "[BODY]"):
		expr, understood := jsonPath(strings.TrimPrefix(s, "[BODY]"), false)
		if !understood || !w.json {
			return term{}, "a path such as [BODY].data[0].id is understood, not " + s
		}
		return term{expr: expr, nature: isJSON}, ""
	case strings.HasPrefix(s, "["):
		return term{}, s + " has nothing here that says the same"
	}
	return term{text: s}, ""
}

func (w words) has(expr string, as nature, s string) (term, string) {
	if expr == "" {
		return term{}, s + " means nothing for this kind of probe"
	}
	return term{expr: expr, nature: as}, ""
}

// call returns what stands between the parentheses of name(…).
func call(name, s string) (string, bool) {
	inner, ok := strings.CutPrefix(s, name+"(")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(inner, ")")
}

// compare writes a op b, where a is no literal.
func compare(a term, op string, b term) (expr, why string) {
	equal := op == "==" || op == "!="
	switch {
	case a.nature <= isAny:
		return "", "it speaks of nothing that the probe sees"
	case b.nature == isPattern || b.nature == isAny:
		if !equal {
			return "", "pat() and any() go with == and != alone"
		}
		return choice(a, op == "!=", b)
	case b.nature != isLiteral:
		return both(a, op, b)
	}
	switch a.nature {
	case isAnswers:
		if !equal {
			return "", "answers are compared by == and != alone"
		}
		return among(a.expr, op == "!=", "# == "+text(b.text)), ""
	case isConnected:
		if op == "==" && b.text == "true" {
			return "", ""
		}
		return "", "a probe that cannot connect has always failed"
	case isHas:
		if !equal || b.text != "true" && b.text != "false" {
			return "", "has() is compared with true or false"
		}
		if (b.text == "true") == (op == "==") {
			return a.expr + " != nil", ""
		}
		if indexed.MatchString(a.expr) {
			return "", "what is absent is understood of names alone, not of places in a list"
		}
		return a.expr + " == nil", ""
	case isTime:
		d, ok := milliseconds(b.text)
		if !ok {
			return "", "want milliseconds or a duration"
		}
		return fmt.Sprintf("%s %s %s", a.expr, op, d), ""
	case isDays:
		d, err := time.ParseDuration(b.text)
		if err != nil {
			return "", "want a duration such as 48h"
		}
		return fmt.Sprintf("%s %s %s", a.expr, op, strconv.FormatFloat(d.Hours()/24, 'g', 6, 64)), ""
	case isNumber:
		if !numeric(b.text) {
			return "", "want a number"
		}
		return fmt.Sprintf("%s %s %s", a.expr, op, number(b.text)), ""
	}
	switch {
	case equal && a.nature == isText:
		return fmt.Sprintf("%s %s %s", a.expr, op, text(b.text)), ""
	case equal && len(b.text) > 3 && !numeric(b.text) && b.text != "true" && b.text != "false" && secretWord(a.expr[strings.LastIndexAny(a.expr, ".[")+1:]):
		return "", comparesSecret
	case equal:
		return equals(a.expr, op, b.text), ""
	case numeric(b.text):
		return fmt.Sprintf("float(%s) %s %s", a.expr, op, number(b.text)), ""
	}
	return "", "want a number"
}

// both compares two things that the probe sees.
func both(a term, op string, b term) (expr, why string) {
	plain := func(t term) bool { return t.nature == isJSON || t.nature == isText || t.nature == isNumber }
	switch {
	case !plain(a) || !plain(b):
		return "", "these two are not compared with each other here"
	case op == "==" || op == "!=":
		return fmt.Sprintf("string(%s) %s string(%s)", a.expr, op, b.expr), ""
	}
	return fmt.Sprintf("float(%s) %s float(%s)", a.expr, op, b.expr), ""
}

// among says that one of a list fits, or none.
func among(list string, not bool, fits string) string {
	if not {
		return "none(" + list + ", " + fits + ")"
	}
	return "any(" + list + ", " + fits + ")"
}

// choice compares with pat(…) or any(…).
func choice(a term, not bool, b term) (expr, why string) {
	left := a.expr
	if a.nature == isAnswers {
		inner, why := choice(term{expr: "#", nature: isText}, false, b)
		if why != "" {
			return "", why
		}
		return among(a.expr, not, inner), ""
	}
	switch a.nature {
	case isNumber, isJSON:
		left = "string(" + a.expr + ")"
	case isText:
	default:
		return "", "pat() and any() are understood of [STATUS], [BODY] and [IP] alone"
	}
	if b.nature == isPattern {
		expr, ok := glob(left, b.text)
		if !ok {
			return "", "a pattern of * and ? is understood, not one with [, ] or \\"
		}
		if not {
			expr = "not (" + expr + ")"
		}
		return expr, ""
	}
	var list []string
	numbers := a.nature == isNumber
	for _, s := range strings.Split(b.text, ",") {
		s = strings.TrimSpace(s)
		numbers = numbers && numeric(s)
		list = append(list, s)
	}
	if numbers {
		left = a.expr
	}
	for i, s := range list {
		if numbers {
			list[i] = number(s)
		} else {
			list[i] = text(s)
		}
	}
	in := " in ["
	if not {
		in = " not in ["
	}
	return left + in + strings.Join(list, ", ") + "]", ""
}

// number writes a number as expressions take it: without leading zeros or plus.
func number(s string) string {
	f, _ := strconv.ParseFloat(s, 64)
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// milliseconds writes a number of milliseconds, or a duration, as a duration.
func milliseconds(s string) (string, bool) {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		return short(time.Duration(min(n, 24*60*60*1000)) * time.Millisecond), true
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return "", false
	}
	return short(d), true
}
