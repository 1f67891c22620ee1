package runner_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gengfu/gengfu/agent/runner"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/probetest"
	"github.com/gengfu/gengfu/probes/wording"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// trace is a Trace that remembers what it was told, as text.
type trace struct {
	mu    sync.Mutex
	lines []string
	ended []probes.Run
	fail  error
}

func (t *trace) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

func (t *trace) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

func (t *trace) ID() string                         { return "0123456789abcdef0123456789abcdef" }
func (t *trace) Traceparent(context.Context) string { return "00-" + t.ID() + "-0123456789abcdef-01" }

func (t *trace) Phase(_ context.Context, p probes.Phase) {
	t.say("phase %s %v %v", p.Name, p.Err, p.Attrs)
}
func (t *trace) Annotate(_ context.Context, attrs ...probes.Attr) { t.say("attrs %v", attrs) }
func (t *trace) Step(ctx context.Context, name string, do func(context.Context) error) error {
	err := do(ctx)
	t.say("step %s %v", name, err)
	return err
}

func (t *trace) End(ctx context.Context, run probes.Run) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	t.ended = append(t.ended, run)
	return t.fail
}

type proberFunc func(ctx context.Context, env probes.Env) (probes.Result, error)

func (f proberFunc) Probe(ctx context.Context, env probes.Env) (probes.Result, error) {
	return f(ctx, env)
}

func probe(f proberFunc) probes.Probe {
	return probes.Probe{
		Key: probes.Key{Service: "service", Probe: "probe"}, Kind: "fake",
		Every: time.Minute, Timeout: 10 * time.Second, Prober: f,
	}
}

func makeRunner(t *testing.T, tr *trace, change func(*runner.Options)) *runner.Runner {
	t.Helper()
	o := runner.Options{
		Agent: "a", Vantage: "north", Labels: map[string]string{"site": "north"},
		Begin: func(ctx context.Context, _ probes.Run) (context.Context, runner.Trace) {
			return ctx, tr
		},
		Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	r, err := runner.New(o)
	require.NoError(t, err)
	return r
}

func once(t *testing.T, r *runner.Runner, p probes.Probe) probes.Run {
	t.Helper()
	run, err := r.Run(t.Context(), p, probes.ChannelPortal, "abc", time.Now(), probes.TriggerSlot)
	require.NoError(t, err)
	return run
}

func TestAGoodRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &trace{}
		r := makeRunner(t, tr, nil)
		slot := time.Now().Add(-3 * time.Second)
		run, err := r.Run(t.Context(), probe(func(ctx context.Context, env probes.Env) (probes.Result, error) {
			require.NotNil(t, env.Dial)
			require.NotNil(t, env.Resolver)
			require.Nil(t, env.Browser)
			require.Contains(t, env.Traceparent(ctx), tr.ID())
			time.Sleep(2 * time.Second)
			return probes.Result{Verdict: probes.Up, Status: 200, Title: " 首页\xff "}, nil
		}), probes.ChannelWechat, "abc", slot, probes.TriggerCatchUp)
		require.NoError(t, err)
		require.Equal(t, probes.Run{
			Key: probes.Key{Service: "service", Probe: "probe"}, Slot: slot.UTC(), Every: time.Minute,
			Channel: probes.ChannelWechat, Kind: "fake", Agent: "a", Vantage: "north",
			Labels: map[string]string{"site": "north"}, Revision: "abc", Trigger: probes.TriggerCatchUp,
			Started: slot.Add(3 * time.Second).UTC(), Took: 2 * time.Second, Late: 3 * time.Second,
			TraceID: tr.ID(), Result: probes.Result{Verdict: probes.Up, Status: 200, Title: "首页"},
		}, run)
		require.Equal(t, []probes.Run{run}, tr.ended)
		require.Equal(t, runner.Stats{Runs: 1}, r.Stats())
	})
}

// confesses checks that the run says in these words that its agent could not look.
func confesses(t *testing.T, run probes.Run, sentence string) {
	t.Helper()
	require.Equal(t, probes.Unknown, run.Result.Verdict)
	require.Equal(t, probes.ClassAgent, run.Result.Class)
	require.NotEmpty(t, run.Result.Findings)
	probetest.Readable(t, run.Result)
	require.Equal(t, sentence, wording.Finding(wording.ZH, run.Result.Findings[0]))
}

func TestWhatIsOurOwnFaultIsUnknown(t *testing.T) {
	var out bytes.Buffer
	tr := &trace{}
	r := makeRunner(t, tr, func(o *runner.Options) { o.Logger = slog.New(slog.NewTextHandler(&out, nil)) })
	for name, c := range map[string]struct {
		f    proberFunc
		text string
	}{
		"error": {func(context.Context, probes.Env) (probes.Result, error) {
			return probes.Result{Verdict: probes.Up}, errors.New("no page within 10s")
		}, "探针未能执行拨测（no page within 10s）"},
		"browser": {func(context.Context, probes.Env) (probes.Result, error) {
			err := &probes.Trouble{Phrase: probes.PhraseNoBrowser, Got: "apt-get install x", Err: errors.New("no browser")}
			return probes.Result{}, fmt.Errorf("opening: %w", err)
		}, "探针上没有浏览器，安装：apt-get install x"},
		"panic": {func(context.Context, probes.Env) (probes.Result, error) { panic("ouch") }, "拨测程序崩溃（ouch）"},
		"missing secret": {func(_ context.Context, env probes.Env) (probes.Result, error) {
			_, err := env.Secret("TOKEN")
			return probes.Result{}, err
		}, "探针上没有设置密钥 TOKEN"},
		"unknown class": {func(context.Context, probes.Env) (probes.Result, error) {
			return probes.Result{Verdict: probes.Down, Class: "gremlins"}, nil
		}, `拨测结果自相矛盾（verdict = down, class = "gremlins"）`},
		"down without class": {func(context.Context, probes.Env) (probes.Result, error) {
			return probes.Result{Verdict: probes.Down}, nil
		}, `拨测结果自相矛盾（verdict = down, class = ""）`},
		"up with class": {func(context.Context, probes.Env) (probes.Result, error) {
			return probes.Result{Verdict: probes.Up, Class: probes.ClassDNS}, nil
		}, `拨测结果自相矛盾（verdict = up, class = "dns"）`},
		"down by the agent's class": {func(context.Context, probes.Env) (probes.Result, error) {
			return probes.Result{Verdict: probes.Down, Class: probes.ClassAgent}, nil
		}, `拨测结果自相矛盾（verdict = down, class = "agent"）`},
		"verdict outside the list": {func(context.Context, probes.Env) (probes.Result, error) {
			return probes.Result{Verdict: 9, Class: probes.ClassDNS}, nil
		}, `拨测结果自相矛盾（verdict = verdict(9), class = "dns"）`},
	} {
		t.Run(name, func(t *testing.T) { confesses(t, once(t, r, probe(c.f)), c.text) })
	}
	require.EqualValues(t, 1, r.Stats().Panics)
	require.Contains(t, out.String(), "runner_test.go", "the stack is in the log")
	require.Len(t, tr.ended, 9)
}

func TestAForgottenVerdictIsUnknown(t *testing.T) {
	run := once(t, makeRunner(t, &trace{}, nil), probe(func(context.Context, probes.Env) (probes.Result, error) {
		return probes.Result{Findings: []probes.Finding{{Phrase: "made_up", Got: "nothing"}}}, nil
	}))
	require.Equal(t, probes.Unknown, run.Result.Verdict)
	require.Equal(t, []probes.Finding{{Class: probes.ClassAgent, Got: "nothing"}}, run.Result.Findings)
}

func TestAnUnwellAgentDoesNotJudge(t *testing.T) {
	for _, at := range []int{1, 2} { // before, or after, the run
		asked := 0
		r := makeRunner(t, &trace{}, func(o *runner.Options) {
			o.Unwell = func() string {
				if asked++; asked == at {
					return "10.0.0.1:53, 10.0.0.2:53"
				}
				return ""
			}
		})
		confesses(t, once(t, r, probe(func(context.Context, probes.Env) (probes.Result, error) {
			return probes.Result{Verdict: probes.Down, Class: probes.ClassConnect}, nil
		})), "探针自己断网：基准地址 10.0.0.1:53, 10.0.0.2:53 都没有应答")
	}
}

func TestTheDeadlineIsTheProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := makeRunner(t, &trace{}, nil)
		run := once(t, r, probe(func(ctx context.Context, _ probes.Env) (probes.Result, error) {
			<-ctx.Done()
			return probes.Judge("request", "an answer", ctx.Err()), nil
		}))
		require.Equal(t, 10*time.Second, run.Took)
		require.Equal(t, probes.Down, run.Result.Verdict)
		require.Equal(t, probes.ClassTimeout, run.Result.Class)
		require.Zero(t, r.Stats().Leaked)
	})
}

func TestAProberThatIgnoresItsDeadlineIsLeftBehindAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &trace{}
		r := makeRunner(t, tr, func(o *runner.Options) { o.MaxConcurrent = 1 })
		run := once(t, r, probe(func(ctx context.Context, env probes.Env) (probes.Result, error) {
			time.Sleep(30 * time.Second)
			env.Record.Annotate(ctx, probes.Attr{Key: "late", Value: "straggler"})
			env.Record.Phase(ctx, probes.Phase{Name: "straggler"})
			_ = env.Record.Step(ctx, "straggler", func(context.Context) error { return nil })
			return probes.Result{Verdict: probes.Up}, nil
		}))
		confesses(t, run, "fake 拨测超时 2秒后仍未停下，结果作废")
		require.Equal(t, 12*time.Second, run.Took)
		require.EqualValues(t, 1, r.Stats().Leaked)

		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorContains(t, r.Close(short), "1 of 1 places")
		require.NoError(t, r.Close(t.Context()))
		require.NotContains(t, tr.text(), "straggler", "nothing is written after the end")
	})
}

func TestStoppingIsNotAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &trace{}
		r := makeRunner(t, tr, nil)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		run, err := r.Run(ctx, probe(func(ctx context.Context, _ probes.Env) (probes.Result, error) {
			<-ctx.Done()
			return probes.Judge("connect", "a connection", io.EOF), nil
		}), probes.ChannelApp, "abc", time.Now(), probes.TriggerSlot)
		require.NoError(t, err)
		confesses(t, run, "探针正在停止，拨测没有做完（context canceled）")
		require.Len(t, tr.ended, 1, "kept all the same")
		_, err = r.Run(ctx, probe(nil), probes.ChannelApp, "abc", time.Now(), probes.TriggerSlot)
		if err == nil {
			t.Fatal("a run began after the end")
		}
	})
}

func TestPlacesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := makeRunner(t, &trace{}, func(o *runner.Options) { o.MaxConcurrent, o.MaxBrowsers = 2, 1 })
		var mu sync.Mutex
		now, most := map[bool]int{}, map[bool]int{}
		run := func(browser bool) probes.Run {
			p := probe(func(context.Context, probes.Env) (probes.Result, error) {
				mu.Lock()
				now[browser]++
				most[browser] = max(most[browser], now[browser])
				mu.Unlock()
				time.Sleep(4 * time.Second)
				mu.Lock()
				now[browser]--
				mu.Unlock()
				return probes.Result{Verdict: probes.Up}, nil
			})
			if browser {
				p.Needs = []probes.Capability{probes.CapabilityBrowser}
			}
			run, err := r.Run(t.Context(), p, probes.ChannelApp, "abc", time.Now(), probes.TriggerSlot)
			require.NoError(t, err)
			return run
		}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				got := run(i%2 == 0)
				require.Equal(t, 4*time.Second, got.Took, "waiting is not the run's")
				require.Equal(t, got.Late, got.Started.Sub(got.Slot))
			})
		}
		wg.Wait()
		require.Equal(t, map[bool]int{true: 1, false: 2}, most)
	})
}

func TestARunWithoutAPlaceInItsSlotSaysSo(t *testing.T) {
	for sentence, needs := range map[string][]probes.Capability{
		"探针繁忙：1 个拨测名额一直占满":    nil,
		"探针繁忙：1 个浏览器拨测名额一直占满": {probes.CapabilityBrowser},
	} {
		synctest.Test(t, func(t *testing.T) {
			tr := &trace{}
			r := makeRunner(t, tr, func(o *runner.Options) { o.MaxConcurrent, o.MaxBrowsers = 1, 1 })
			hog := probe(func(context.Context, probes.Env) (probes.Result, error) {
				time.Sleep(5 * time.Minute)
				return probes.Result{Verdict: probes.Up}, nil
			})
			hog.Timeout, hog.Needs = time.Hour, needs
			var wg sync.WaitGroup
			wg.Go(func() { once(t, r, hog) })
			synctest.Wait()
			late := probe(nil)
			late.Needs = needs
			run := once(t, r, late)
			confesses(t, run, sentence)
			require.Equal(t, time.Minute, run.Late)
			require.Zero(t, run.Took)
			require.EqualValues(t, 1, r.Stats().Starved)
			wg.Wait()
		})
	}
}

func TestAConfirmingRunThatCannotBeginInTimeDoesNotTakePlace(t *testing.T) {
	for _, c := range []struct {
		name  string
		by    time.Duration // after the slot's start
		wait  time.Duration // until a place comes free
		gives time.Duration // up, after the slot's start; 0 when it runs
	}{
		{"a place in time", 40 * time.Second, 40*time.Second - 1, 0},
		{"a place just too late", 40 * time.Second, 40 * time.Second, 40 * time.Second},
		{"no place in time", 40 * time.Second, 2 * time.Minute, 40 * time.Second},
		{"no longer than the slot", 10 * time.Minute, 2 * time.Minute, time.Minute},
		{"a place at the slot's very end", 10 * time.Minute, time.Minute, time.Minute},
		{"too late already", -time.Second, time.Second / 2, time.Nanosecond},
		{"too late already, with a place", -time.Second, 0, time.Nanosecond},
	} {
		for range 10 { // a place and the end come at one instant: either may be seen first
			synctest.Test(t, func(t *testing.T) {
				var begun []probes.Run
				tr := &trace{}
				r := makeRunner(t, tr, func(o *runner.Options) {
					o.MaxConcurrent = 1
					o.Begin = func(ctx context.Context, run probes.Run) (context.Context, runner.Trace) {
						begun = append(begun, run)
						return ctx, tr
					}
				})
				hog := probe(func(context.Context, probes.Env) (probes.Result, error) {
					time.Sleep(c.wait)
					return probes.Result{Verdict: probes.Up}, nil
				})
				hog.Timeout = time.Hour
				var wg sync.WaitGroup
				if c.wait > 0 {
					wg.Go(func() { once(t, r, hog) })
					synctest.Wait()
				}
				begun = nil
				slot := time.Now()
				late := probe(func(context.Context, probes.Env) (probes.Result, error) {
					return probes.Result{Verdict: probes.Up}, nil
				})
				_, err := r.Confirm(t.Context(), late, probes.ChannelPortal, "abc", slot, slot.Add(c.by))
				if c.gives == 0 {
					require.NoError(t, err, c.name)
					require.Equal(t, probes.TriggerConfirm, begun[0].Trigger)
					require.Equal(t, c.wait, begun[0].Started.Sub(slot), c.name)
				} else {
					require.ErrorIs(t, err, runner.ErrTooLate, c.name)
					require.Equal(t, c.gives.Truncate(time.Second), time.Since(slot), c.name)
					require.Empty(t, begun, "no trace: "+c.name)
					require.EqualValues(t, 1, r.Stats().TooLate)
				}
				require.Zero(t, r.Stats().Starved)
				wg.Wait()
				require.NoError(t, r.Close(t.Context()), "its place is free again")
			})
		}
	}
}

func TestAConfirmingRunIsBoundByItsSlotHoweverItIsCalled(t *testing.T) {
	r := makeRunner(t, &trace{}, nil)
	_, err := r.Run(t.Context(), probe(nil), probes.ChannelPortal, "abc", time.Now().Add(-time.Minute), probes.TriggerConfirm)
	require.ErrorIs(t, err, runner.ErrTooLate)
}

func TestSecretsLeaveNoTrace(t *testing.T) {
	const asked, known = "s3cret-token/+", "another-secret"
	tr := &trace{}
	var kept []probes.Evidence
	r := makeRunner(t, tr, func(o *runner.Options) {
		o.Secret = func(string) (string, error) { return asked, nil }
		o.Secrets = func() []string { return []string{known} }
		o.Keep = func(_ context.Context, e probes.Evidence) error {
			kept = append(kept, e)
			return nil
		}
	})
	seen := errors.New("posting " + asked)
	run := once(t, r, probe(func(ctx context.Context, env probes.Env) (probes.Result, error) {
		value, err := env.Secret("TOKEN")
		require.NoError(t, err)
		require.Equal(t, asked, value)
		both := value + " and " + known
		got := env.Record.Step(ctx, "fill "+both, func(context.Context) error { return seen })
		require.Equal(t, seen, got, "the prober gets its own error")
		_ = env.Record.Step(ctx, "see", func(context.Context) error {
			return &probes.Failure{Class: probes.ClassStep, Phrase: probes.PhraseTextMissing, Want: both, Got: both}
		})
		env.Record.Phase(ctx, probes.Phase{Name: both, Err: seen, Attrs: []probes.Attr{{Key: "k", Value: both}}})
		env.Record.Annotate(ctx, probes.Attr{Key: "k", Value: []string{both}}, probes.Attr{Key: "n", Value: 7})
		return probes.Result{
			Verdict: probes.Down, Class: probes.ClassStep,
			Findings: []probes.Finding{{Class: probes.ClassStep, Step: both, Want: both, Got: both}},
			Checks:   []probes.Check{{Expr: both, Saw: both}},
			URL:      "https://user:pass@h5.example/?t=s3cret-token%2F%2B", Title: both,
			Measures: map[string]float64{both: 1},
			Evidence: []probes.Evidence{{Kind: "body", MIME: "text/html", Data: []byte(both)}},
		}, nil
	}))
	all := fmt.Sprintf("%s\n%+v\n%+v\n%s", tr.text(), run, tr.ended, kept[0].Data)
	for _, secret := range []string{asked, known, "s3cret-token", "pass@"} {
		require.NotContains(t, all, secret)
	}
	require.Contains(t, all, probes.Masked)
	require.Equal(t, probes.Down, run.Result.Verdict)
	require.Contains(t, tr.text(), "n 7")
	require.Contains(t, tr.text(), "text_missing", "the phrase stays")
}

func TestEvidenceIsHashedAndKept(t *testing.T) {
	picture := []byte("\xff\xd8 a picture")
	sum := sha256.Sum256(picture)
	kept := map[string]probes.Evidence{}
	fail := false
	r := makeRunner(t, &trace{}, func(o *runner.Options) {
		o.Keep = func(_ context.Context, e probes.Evidence) error {
			if fail {
				return errors.New("disk full")
			}
			kept[e.SHA256] = e
			return nil
		}
	})
	p := probe(func(context.Context, probes.Env) (probes.Result, error) {
		return probes.Result{Verdict: probes.Down, Class: probes.ClassStep, Evidence: []probes.Evidence{
			{Kind: "screenshot", MIME: "image/jpeg", Data: picture}, {Kind: "empty"}, {Kind: "huge", Data: make([]byte, 5<<20)},
		}}, nil
	})
	run := once(t, r, p)
	require.Equal(t, []probes.Evidence{{Kind: "screenshot", MIME: "image/jpeg", SHA256: hex.EncodeToString(sum[:]), Size: len(picture)}}, run.Result.Evidence)
	require.Equal(t, picture, kept[hex.EncodeToString(sum[:])].Data)
	require.EqualValues(t, 2, r.Stats().EvidenceDropped)

	fail = true
	run = once(t, r, p)
	require.Empty(t, run.Result.Evidence, "a trace never names what is not there")
	require.Equal(t, probes.Down, run.Result.Verdict)
	require.EqualValues(t, 5, r.Stats().EvidenceDropped)
}

func TestResultsStayInsideTheirBounds(t *testing.T) {
	huge := strings.Repeat("系统\xff\x00", 100000)
	r := makeRunner(t, &trace{}, nil)
	run := once(t, r, probe(func(context.Context, probes.Env) (probes.Result, error) {
		res := probes.Result{Verdict: probes.Down, Class: probes.ClassContent, URL: huge, Title: huge, IP: huge, Measures: map[string]float64{"nan": math.NaN(), "inf": math.Inf(1), huge: 1}}
		res.Timings.DNS = -5
		for i := range 1000 {
			res.Findings = append(res.Findings, probes.Finding{Class: "gremlins", Step: huge, Want: huge, Got: huge})
			res.Checks = append(res.Checks, probes.Check{Expr: huge, Saw: huge})
			res.Measures[fmt.Sprint(i)] = 1
		}
		return res, nil
	}))
	res := run.Result
	require.LessOrEqual(t, len(res.Findings), 50)
	require.LessOrEqual(t, len(res.Checks), 200)
	require.LessOrEqual(t, len(res.Measures), 100)
	require.Less(t, len(fmt.Sprintf("%+v", res)), 300_000)
	require.True(t, utf8.ValidString(fmt.Sprintf("%+v", res)))
	require.Equal(t, probes.ClassContent, res.Findings[0].Class)
	require.Zero(t, res.Timings.DNS)
	require.NotContains(t, res.Measures, "nan")
	require.LessOrEqual(t, len(res.Title), 200)
	require.LessOrEqual(t, len(res.Findings[0].Got), probes.ExcerptMax)
}

func TestATraceThatCannotBeKeptIsAnError(t *testing.T) {
	tr := &trace{fail: errors.New("disk full")}
	r := makeRunner(t, tr, nil)
	run, err := r.Run(t.Context(), probe(func(context.Context, probes.Env) (probes.Result, error) {
		return probes.Result{Verdict: probes.Up}, nil
	}), probes.ChannelApp, "abc", time.Now(), probes.TriggerManual)
	require.ErrorContains(t, err, "disk full")
	require.Equal(t, probes.Up, run.Result.Verdict)
}

func TestNewWantsANameAndATrace(t *testing.T) {
	_, err := runner.New(runner.Options{})
	require.ErrorContains(t, err, "name and vantage")
	require.ErrorContains(t, err, "Begin")
}

func TestASecretThatChangesIsHiddenToo(t *testing.T) {
	tr := &trace{}
	var now []string
	clock := time.Now()
	r := makeRunner(t, tr, func(o *runner.Options) {
		o.Secrets = func() []string { return now }
		o.Now = func() time.Time { return clock }
	})
	show := probe(func(ctx context.Context, env probes.Env) (probes.Result, error) {
		attrs := []probes.Attr{{Key: "k", Value: "first-secret and second-secret"}, {Key: "n", Value: 7}}
		env.Record.Annotate(ctx, attrs...)
		require.Equal(t, "first-secret and second-secret", attrs[0].Value, "the prober's own list stays as it is")
		return probes.Result{Verdict: probes.Up, Title: "first-secret and second-secret"}, nil
	})
	for _, c := range []struct {
		now  []string
		want string
	}{
		{nil, "first-secret and second-secret"},
		{[]string{"first-secret"}, probes.Masked + " and second-secret"},
		{[]string{"first-secret"}, probes.Masked + " and second-secret"},
		{[]string{"second-secret"}, "first-secret and " + probes.Masked},
	} {
		now = c.now
		clock = clock.Add(time.Second)
		require.Equal(t, c.want, once(t, r, show).Result.Title)
		require.Contains(t, tr.text(), c.want)
	}
}
