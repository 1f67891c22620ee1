package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gengfu/gengfu/probes/chrome"
)

// TestMain lets the test binary be the agent's program as well.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"agent": func() {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
	}})
}

// TestScripts runs the commands as a person would, each script in a folder of its
// own, against a real site on loopback, whose address is $SITE.
func TestScripts(t *testing.T) {
	docs, err := filepath.Abs("../docs/definitions")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := filepath.Abs("../probes/examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(cond string) (bool, error) {
			if cond != "chromium" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			_, err := chrome.Find("")
			return err == nil, nil
		},
		Setup: func(env *testscript.Env) error {
			site := httptest.NewServer(http.HandlerFunc(visit))
			env.Defer(site.Close)
			env.Setenv("SITE", site.URL)
			gone := httptest.NewServer(nil)
			gone.Close()
			env.Setenv("GONE", gone.URL)
			agent, err := exec.LookPath("agent")
			if err != nil {
				return err
			}
			env.Setenv("AGENT", agent)
			env.Setenv("DOCS", docs)
			env.Setenv("EXAMPLES", examples)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "expand": expand, "has": has,
		},
	})
}

// visit is the site: it says what its paths are called.
func visit(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	switch r.URL.Path {
	case "/error":
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, "<title>出错了</title><p>数据库连接失败</p>")
	case "/maintenance":
		fmt.Fprint(w, "<title>公告</title><h1>系统维护中</h1><p>系统正在维护升级，请稍后访问。</p>")
	case "/echo":
		fmt.Fprintf(w, "<title>%s</title><p>%s</p>", r.Header.Get("X-Token"), r.URL.Query().Get("t"))
	case "/hostile":
		fmt.Fprint(w, "<title>\x1b[2J\x1b]0;owned\x07\u202egnp.exe</title><p>ok</p>")
	case "/slow":
		select {
		case <-r.Context().Done():
		case <-time.After(300 * time.Millisecond):
		}
		fmt.Fprint(w, "<title>慢</title><p>总会来的</p>")
	default:
		fmt.Fprint(w, "<title>社保查询</title><h1>个人权益记录查询</h1><p>请输入身份证号</p>")
	}
}

// exits runs a program and holds it to its exit code: exits CODE PROGRAM ARGS…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGS...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("running %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("want exit code %d, got %d", want, got)
	}
}

// expand puts the values of $NAME into files: expand FILE…
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand FILE...")
	}
	for _, file := range args {
		text := strings.NewReplacer("$SITE", ts.Getenv("SITE"), "$GONE", ts.Getenv("GONE")).Replace(ts.ReadFile(file))
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
	}
}

// has holds a value in JSON to a text: has FILE a.0.b TEXT. FILE may be stdout; a
// path that ends in len is a length.
func has(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: has FILE PATH TEXT")
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(ts.ReadFile(args[0]))))
	dec.UseNumber()
	var v any
	ts.Check(dec.Decode(&v))
	for part := range strings.SplitSeq(args[1], ".") {
		v = child(ts, v, part)
	}
	if got := fmt.Sprint(v); got != args[2] {
		ts.Fatalf("%s: want %q, got %q", args[1], args[2], got)
	}
}

func child(ts *testscript.TestScript, v any, part string) any {
	switch v := v.(type) {
	case map[string]any:
		if part == "len" {
			return len(v)
		}
		got, ok := v[part]
		if !ok {
			ts.Fatalf("no key %q", part)
		}
		return got
	case []any:
		if part == "len" {
			return len(v)
		}
		i, err := strconv.Atoi(part)
		ts.Check(err)
		if i >= len(v) {
			ts.Fatalf("no item %d of %d", i, len(v))
		}
		return v[i]
	}
	ts.Fatalf("%q is asked of %v", part, v)
	return nil
}
