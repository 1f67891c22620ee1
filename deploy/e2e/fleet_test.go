package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"github.com/gengfu/gengfu/deploy/demo/fleet"
)

// patience bounds every wait: a loaded machine may be slow, never wrong.
const patience = 3 * time.Minute

// binaries is where make build puts the programs.
func binaries(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../bin")
	require.NoError(t, err)
	for _, name := range []string{"agent", "coordinator", "bureau"} {
		_, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err, "run make build first")
	}
	return dir
}

// TestFleet walks through one day of a demo fleet. Its parts share one fleet,
// because starting one takes longer than each of them, and run in order.
func TestFleet(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	f, err := fleet.New(ctx, fleet.Options{Bin: binaries(t), Dir: dir, Examples: "../../probes/examples"})
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			for _, name := range []string{"bureau", "coordinator", "agent-1", "agent-2", "agent-3"} {
				b, _ := os.ReadFile(filepath.Join(dir, "logs", name+".log"))
				t.Logf("--- %s\n%s", name, tail(b, 4000))
			}
		}
		for _, p := range f.Processes() {
			require.NoError(t, f.StopOne(p.Name))
		}
	})
	began := time.Now()
	require.NoError(t, f.StartAll(ctx))
	base := f.URL()

	require.True(t, t.Run("every service gets a verdict and works", func(t *testing.T) {
		first := time.Duration(0)
		until(t, patience, "every published service is up", func() (bool, string) {
			rows := services(t, base)
			good, published := 0, 0
			for _, r := range rows {
				if r.Life != "published" {
					continue
				}
				published++
				if r.State.Verdict == "up" {
					good++
				}
			}
			if first == 0 && good > 0 {
				first = time.Since(began)
			}
			return published >= 24 && good == published, describe(rows, "up")
		})
		t.Logf("figure: start to first verdict %.1f s, to all %.1f s", first.Seconds(), time.Since(began).Seconds())
		until(t, patience, "every service has availability with coverage", func() (bool, string) {
			for _, r := range services(t, base) {
				if r.Life == "published" && (r.Today.Coverage == nil || r.Today.Availability == nil) {
					return false, r.ID
				}
			}
			return true, ""
		})
	}))

	t.Run("agents differ in site and line and share the work", func(t *testing.T) {
		agents := get[list[agentRow]](t, base+"/api/v1/agents").Items
		require.Len(t, agents, 3)
		sites, lines := map[string]bool{}, map[string]bool{}
		for _, a := range agents {
			require.True(t, a.Alive, a.Name)
			require.False(t, a.Behind, a.Name)
			require.Positive(t, a.Owns, a.Name)
			sites[a.Site], lines[a.Labels["isp"]] = true, true
		}
		require.Len(t, sites, 3)
		require.Len(t, lines, 3)
	})

	t.Run("a run is one trace with its phases", func(t *testing.T) {
		page := anyRun(t, base, "http")
		names := map[string]int{}
		roots := 0
		for _, s := range page.Spans {
			names[s.Name]++
			if s.Parent == "" {
				roots++
			}
		}
		require.Equal(t, 1, roots)
		for _, want := range []string{"dns", "connect", "request", "first_byte", "body"} {
			require.Positive(t, names[want], "%s in %v", want, names)
		}
		page = anyRun(t, base, "browser")
		steps := 0
		for _, s := range page.Spans {
			if strings.HasPrefix(s.Name, "open") || strings.HasPrefix(s.Name, "see") {
				steps++
			}
		}
		require.GreaterOrEqual(t, steps, 2, page.Spans)
	})

	t.Run("pages answer in Chinese and name the services", func(t *testing.T) {
		run := anyRun(t, base, "http").Run.TraceID
		for path, want := range map[string]string{
			"/": "社保查询", "/services/wx-01": "社保查询", "/runs/" + run: run, "/incidents": "故障", "/agents": "agent-2",
			"/records": "服务发布日常监控记录", "/definitions": "Watch the bureau", "/alerts": "告警",
		} {
			status, body := call(t, http.MethodGet, base+path, nil)
			require.Equal(t, 200, status, path)
			require.Contains(t, string(body), want, path)
			require.Contains(t, string(body), `lang="zh`, path)
		}
	})

	t.Run("faults reach the right verdict and class", func(t *testing.T) { faults(t, f, base) })
	t.Run("the daily record is a page and a workbook", func(t *testing.T) { dailyRecord(t, f, base) })
	t.Run("a bad commit is refused with its place, a good one is taken", func(t *testing.T) { commits(t, f, base) })
	t.Run("a killed agent's probes run elsewhere", func(t *testing.T) { killAgent(t, f, base) })
	t.Run("probing goes on without a coordinator, and nothing is lost", func(t *testing.T) { loseCoordinator(t, f, base) })
	t.Run("wrong starts say what is wrong", func(t *testing.T) { wrongStarts(t, f) })
	t.Run("memory", func(t *testing.T) {
		for _, p := range f.Processes() {
			t.Logf("figure: resident memory of %s: %s", p.Name, resident(p.PID()))
		}
	})
	t.Run("stopping leaves nothing behind", func(t *testing.T) {
		require.NoError(t, f.StopAll())
		until(t, time.Minute, "no process of the fleet is left", func() (bool, string) {
			left := processesNaming(dir)
			return len(left) == 0, strings.Join(left, "\n")
		})
	})
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}

// anyRun is the page of the newest good run of some probe of a kind.
func anyRun(t *testing.T, base, kind string) runPage {
	t.Helper()
	for id, r := range services(t, base) {
		if r.State.Verdict != "up" {
			continue
		}
		for _, p := range get[servicePage](t, base+"/api/v1/services/"+id).Probes {
			if p.Kind == kind && len(p.Runs) > 0 && p.Runs[0].Verdict == "up" {
				return get[runPage](t, base+"/api/v1/runs/"+p.Runs[0].TraceID)
			}
		}
	}
	t.Fatalf("no good run of kind %s", kind)
	return runPage{}
}

// fault is one switch of the bureau and what the fleet must make of it.
type fault struct {
	service, fault, site string
	verdict              string
	classes              []string
}

func setFault(t *testing.T, f *fleet.Fleet, service, name, site string) {
	t.Helper()
	status, body := call(t, http.MethodPut, f.Control()+"/_faults/"+service, map[string]string{"fault": name, "site": site})
	require.Less(t, status, 300, "%s %s: %s", service, name, body)
}

func clearFault(t *testing.T, f *fleet.Fleet, service string) {
	t.Helper()
	status, body := call(t, http.MethodDelete, f.Control()+"/_faults/"+service, nil)
	require.Less(t, status, 300, "%s: %s", service, body)
}

type received struct {
	Event    string
	Incident incidentRow
}

func alertsOf(t *testing.T, f *fleet.Fleet, service, event string) []received {
	t.Helper()
	var out []received
	for _, a := range get[[]received](t, f.Control()+"/_alerts.json") {
		if a.Incident.Service == service && a.Event == event {
			out = append(out, a)
		}
	}
	return out
}

func faults(t *testing.T, f *fleet.Fleet, base string) {
	cases := []fault{
		{"pt-01", "error500", "", "down", []string{"status"}},
		{"pt-02", "hang", "", "down", []string{"timeout"}},
		{"pt-03", "slow", "", "degraded", []string{"latency"}},
		{"wx-03", "maintenance", "", "down", []string{"maintenance_page"}},
		{"pt-09", "gbk", "", "down", []string{"encoding"}},
		{"api-01", "bizcode", "", "down", []string{"business_code"}},
		{"wx-02", "blank", "", "down", []string{"script_error", "blank_page"}},
		{"pt-04", "expired_cert", "", "down", []string{"tls"}},
		{"api-03", "unreachable", "", "down", []string{"connect", "reset"}},
		{"wx-06", "unreachable", fleet.Sites[0].Addr, "degraded", []string{"connect", "reset"}},
	}
	began := time.Now()
	for _, c := range cases {
		setFault(t, f, c.service, c.fault, c.site)
	}
	alerted := time.Duration(0)
	for _, c := range cases {
		until(t, patience, c.service+" with "+c.fault+" is "+c.verdict, func() (bool, string) {
			s := services(t, base)[c.service].State
			if alerted == 0 && len(alertsOf(t, f, "api-03", "incident.opened")) > 0 {
				alerted = time.Since(began)
			}
			return s.Verdict == c.verdict && slices.Contains(c.classes, s.Class), fmt.Sprintf("%s/%s %s %+v", s.Verdict, s.Class, s.Reason, s.Votes)
		})
	}
	open := map[string]incidentRow{}
	for _, c := range cases {
		if c.verdict != "down" {
			continue
		}
		until(t, patience, "an incident and one alert for "+c.service, func() (bool, string) {
			for _, i := range get[list[incidentRow]](t, base+"/api/v1/incidents?open=true&service="+c.service).Items {
				open[c.service] = i
			}
			got := alertsOf(t, f, c.service, "incident.opened")
			return open[c.service].ID != "" && len(got) == 1, fmt.Sprintf("incident %q, %d alerts", open[c.service].ID, len(got))
		})
		require.GreaterOrEqual(t, len(open[c.service].Vantages), 2, "an outage is confirmed by a second site: %+v", open[c.service])
	}
	t.Logf("figure: fault on to webhook alert, 30 s probe confirmed by a second site: within %.1f s (interval included)", alerted.Seconds())
	for _, quiet := range []string{"pt-03", "wx-06"} {
		require.Empty(t, get[list[incidentRow]](t, base+"/api/v1/incidents?service="+quiet).Items, "%s must open no incident", quiet)
		require.Empty(t, alertsOf(t, f, quiet, "incident.opened"))
	}

	// A failed browser run left a picture.
	until(t, patience, "the blank page's run has a screenshot", func() (bool, string) {
		for _, p := range get[servicePage](t, base+"/api/v1/services/wx-02").Probes {
			for _, r := range p.Runs {
				if p.Kind != "browser" || r.Verdict != "down" {
					continue
				}
				for _, e := range get[runPage](t, base+"/api/v1/runs/"+r.TraceID).Run.Result.Evidence {
					status, body := call(t, http.MethodGet, base+"/api/v1/evidence/"+e.SHA256, nil)
					if e.Kind == "screenshot" && status == 200 {
						return bytes.HasPrefix(body, []byte{0xff, 0xd8}), "a picture that is no JPEG"
					}
				}
			}
		}
		return false, "no screenshot yet"
	})

	// The page of an incident tells the story.
	status, body := call(t, http.MethodGet, base+"/incidents/"+open["pt-01"].ID, nil)
	require.Equal(t, 200, status)
	require.Contains(t, string(body), "返回错误状态码")

	for _, c := range cases {
		clearFault(t, f, c.service)
	}
	for _, c := range cases {
		until(t, patience, c.service+" recovers", func() (bool, string) {
			s := services(t, base)[c.service].State
			return s.Verdict == "up", s.Verdict + "/" + s.Class
		})
		if c.verdict != "down" {
			continue
		}
		until(t, patience, c.service+"'s incident is resolved and said so once", func() (bool, string) {
			still := get[list[incidentRow]](t, base+"/api/v1/incidents?open=true&service="+c.service).Items
			return len(still) == 0 && len(alertsOf(t, f, c.service, "incident.resolved")) == 1, fmt.Sprint(still)
		})
		require.Len(t, get[list[incidentRow]](t, base+"/api/v1/incidents?service="+c.service).Items, 1, "one failure is one incident")
	}
}

func dailyRecord(t *testing.T, f *fleet.Fleet, base string) {
	day := time.Now().In(time.FixedZone("+08", 8*3600)).Format("2006-01-02")
	status, body := call(t, http.MethodGet, base+"/records/daily/"+day, nil)
	require.Equal(t, 200, status)
	for _, want := range []string{"服务发布日常监控记录", "社保查询", "关键内容校验", "〔待填〕"} {
		require.Contains(t, string(body), want)
	}
	file := filepath.Join(t.TempDir(), "day.xlsx")
	cmd := exec.CommandContext(t.Context(), filepath.Join(binaries(t), "coordinator"), "record", "daily", day, "-o", file)
	cmd.Env = append(os.Environ(), f.CoordinatorEnv()...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	book, err := excelize.OpenFile(file)
	require.NoError(t, err)
	defer func() { require.NoError(t, book.Close()) }()
	rows, err := book.GetRows(book.GetSheetName(0))
	require.NoError(t, err)
	text := fmt.Sprint(rows)
	for _, want := range []string{"服务发布日常监控记录", "轮次/时间", "菜单路径", "证书剩余天数", "复核人", "门户首页", "WX-01"} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "旧版稳岗返还", "a draft is not recorded")
}

func commits(t *testing.T, f *fleet.Fleet, base string) {
	file := filepath.Join(f.Definitions(), "services", "portal", "pt-01.yaml")
	good, err := os.ReadFile(file)
	require.NoError(t, err)
	before := get[catalogState](t, base+"/api/v1/catalog").Revision.Commit
	require.NoError(t, os.WriteFile(file, append(bytes.Clone(good), []byte("\nownr: typo\n")...), 0o644))
	require.NoError(t, f.Commit(t.Context(), "Break a definition"))
	status, _ := call(t, http.MethodPost, base+"/api/v1/catalog/poll", nil)
	require.Equal(t, http.StatusAccepted, status)
	until(t, patience, "the bad commit is refused", func() (bool, string) {
		s := get[catalogState](t, base+"/api/v1/catalog")
		return s.Refused != nil, fmt.Sprintf("%+v", s)
	})
	s := get[catalogState](t, base+"/api/v1/catalog")
	require.Equal(t, before, s.Revision.Commit, "the fleet goes on with the last good catalog")
	require.Len(t, s.Refused.Mistakes, 1)
	require.Regexp(t, `services/portal/pt-01\.yaml:\d+:1: .*ownr`, s.Refused.Mistakes[0])
	_, body := call(t, http.MethodGet, base+"/definitions", nil)
	require.Contains(t, string(body), "services/portal/pt-01.yaml:")
	o := get[overview](t, base+"/api/v1/overview")
	require.Condition(t, func() bool {
		for _, w := range o.Warnings {
			if w.Kind == "catalog_refused" {
				return true
			}
		}
		return false
	}, "%+v", o.Warnings)

	require.NoError(t, os.WriteFile(file, bytes.Replace(good, []byte("name: 门户首页"), []byte("name: 门户新首页"), 1), 0o644))
	require.NoError(t, f.Commit(t.Context(), "Mend it and rename a service"))
	call(t, http.MethodPost, base+"/api/v1/catalog/poll", nil)
	until(t, patience, "the good commit runs on every agent", func() (bool, string) {
		s := get[catalogState](t, base+"/api/v1/catalog")
		if s.Refused != nil || s.Revision.Commit == before {
			return false, fmt.Sprintf("%+v", s)
		}
		for _, a := range get[list[agentRow]](t, base+"/api/v1/agents").Items {
			if a.Behind {
				return false, a.Name + " is behind"
			}
		}
		return services(t, base)["pt-01"].Name == "门户新首页", "the old name"
	})
}

func killAgent(t *testing.T, f *fleet.Fleet, base string) {
	name := fleet.AgentName(2)
	var owned []string
	for id := range services(t, base) {
		for _, p := range get[servicePage](t, base+"/api/v1/services/"+id).Probes {
			if slices.Contains(p.Owners, name) && len(p.Owners) == 1 {
				owned = append(owned, p.Key)
			}
		}
	}
	require.NotEmpty(t, owned)
	killed := time.Now()
	require.NoError(t, f.Kill(name))
	until(t, patience, "all its probes ran elsewhere", func() (bool, string) {
		for _, key := range owned {
			ran := false
			for _, r := range get[list[runRow]](t, base+"/api/v1/probes/"+key+"/runs?limit=5").Items {
				ran = ran || r.Agent != name && r.Trigger != "confirm" && r.Started.After(killed)
			}
			if !ran {
				return false, key
			}
		}
		return true, ""
	})
	t.Logf("figure: kill -9 of an agent to all its %d probes running elsewhere: %.1f s", len(owned), time.Since(killed).Seconds())
	until(t, patience, "the overview warns of the lost agent", func() (bool, string) {
		o := get[overview](t, base+"/api/v1/overview")
		for _, w := range o.Warnings {
			if w.Kind == "agents_missing" && strings.Contains(w.Text, name) {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%+v", o.Warnings)
	})
	require.Empty(t, get[list[incidentRow]](t, base+"/api/v1/incidents?open=true").Items, "a lost agent is no outage")
	require.NoError(t, f.StartAgent(2))
	until(t, patience, "it comes back", func() (bool, string) {
		for _, a := range get[list[agentRow]](t, base+"/api/v1/agents").Items {
			if a.Name == name {
				return a.Alive && !a.Behind, fmt.Sprintf("%+v", a)
			}
		}
		return false, "not listed"
	})
}

func loseCoordinator(t *testing.T, f *fleet.Fleet, base string) {
	require.NoError(t, f.Kill("coordinator"))
	lost := time.Now()
	// An agent that restarts now has only what it kept.
	require.NoError(t, f.StopOne(fleet.AgentName(0)))
	require.NoError(t, f.StartAgent(0))
	restarted := time.Now()
	// Two intervals of the quickest probes must pass unseen.
	select {
	case <-time.After(65 * time.Second):
	case <-t.Context().Done():
	}
	require.NoError(t, f.StartCoordinator(t.Context()))
	back := time.Now()
	until(t, patience, "the runs of the gap are delivered, an agent without a coordinator's among them", func() (bool, string) {
		inGap := map[string]int{}
		status, _, err := try(t.Context(), http.MethodGet, base+"/readyz", nil)
		if err != nil || status != 200 {
			return false, "not ready"
		}
		for id, r := range services(t, base) {
			if r.Life != "published" {
				continue
			}
			for _, p := range get[servicePage](t, base+"/api/v1/services/"+id).Probes {
				if p.Every > 30*time.Second {
					continue
				}
				slots := map[time.Time]bool{}
				for _, run := range get[list[runRow]](t, base+"/api/v1/probes/"+p.Key+"/runs?limit=40").Items {
					if run.Started.After(lost) && run.Started.Before(back) {
						slots[run.Slot] = true
						if run.Agent == fleet.AgentName(0) && run.Started.After(restarted) {
							inGap[run.Agent]++
						}
					}
				}
				if len(slots) < 2 {
					return false, fmt.Sprintf("%s: %d slots of the gap", p.Key, len(slots))
				}
			}
		}
		return inGap[fleet.AgentName(0)] > 0, "nothing from the restarted agent"
	})
	// Late data is judged like any other.
	until(t, patience, "all is well again", func() (bool, string) {
		rows := services(t, base)
		for _, r := range rows {
			if r.Life == "published" && r.State.Verdict != "up" {
				return false, describe(rows, "up")
			}
		}
		return true, ""
	})
	require.Empty(t, get[list[incidentRow]](t, base+"/api/v1/incidents?open=true").Items)
}

// start runs a program until it ends or a line appears, and returns its output.
func start(t *testing.T, program string, env []string, until string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(binaries(t), program))
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	out := &watched{want: until, seen: cancel}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	_ = cmd.Run() // how it ended is judged by what it said
	return out.String()
}

func wrongStarts(t *testing.T, f *fleet.Fleet) {
	with := func(env []string, change ...string) []string {
		out := slices.Clone(env)
		for _, c := range change {
			name, _, _ := strings.Cut(c, "=")
			out = slices.DeleteFunc(out, func(line string) bool { return strings.HasPrefix(line, name+"=") })
			out = append(out, c)
		}
		return out
	}
	free := "127.0.0.1:0"
	for name, c := range map[string]struct {
		program string
		env     []string
		want    string
	}{
		"a second coordinator on the same data": {"coordinator", f.CoordinatorEnv(), "COORDINATOR_DATA_DIR"},
		"a misspelt setting":                    {"agent", with(f.AgentEnv(0), "AGENT_SIET=x"), "AGENT_SIET: no such setting, did you mean AGENT_SITE"},
		"no cluster key":                        {"agent", with(f.AgentEnv(0), "AGENT_CLUSTER_KEY="), "AGENT_CLUSTER_KEY is not set"},
		"a missing Chromium":                    {"agent", with(f.AgentEnv(0), "AGENT_BROWSER=/nonexistent/chromium", "AGENT_DATA_DIR="+t.TempDir()), "chromium-headless-shell"},
		"a wrong cluster key": {"agent", with(f.AgentEnv(0), "AGENT_NAME=stranger", "AGENT_GOSSIP_BIND="+free, "AGENT_BROWSER=off",
			"AGENT_CLUSTER_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "AGENT_DATA_DIR="+t.TempDir()), "cluster key and label are the same"},
		"an unreachable Git server": {"coordinator", with(f.CoordinatorEnv(), "COORDINATOR_NAME=other", "COORDINATOR_HTTP="+free, "COORDINATOR_OTLP_GRPC="+free,
			"COORDINATOR_OTLP_HTTP="+free, "COORDINATOR_GOSSIP_BIND="+free, "COORDINATOR_DATA_DIR="+t.TempDir(),
			"COORDINATOR_GIT_URL=https://token:hunter2@127.0.0.1:1/x.git", "COORDINATOR_CLUSTER_LABEL=other"), "the definitions cannot be followed"},
	} {
		t.Run(name, func(t *testing.T) {
			out := start(t, c.program, c.env, c.want)
			require.Contains(t, out, c.want)
			require.NotContains(t, out, "hunter2", "a secret in a message")
			require.NotContains(t, out, "panic")
		})
	}
}
