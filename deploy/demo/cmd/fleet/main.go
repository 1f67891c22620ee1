// Command fleet runs the whole demo on this host: a bureau with faults to switch
// on, a Git repository of definitions, a coordinator and three agents. Ctrl-C
// stops all of it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gengfu/gengfu/deploy/demo/fleet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	began := time.Now()
	dir := flag.String("dir", "var/demo", "folder for everything the demo writes; removed at the next start unless -keep")
	keep := flag.Bool("keep", false, "go on with what an earlier demo left")
	free := flag.Bool("free", false, "take free ports instead of the documented ones")
	flag.Parse()
	if !*keep {
		if err := os.RemoveAll(*dir); err != nil {
			return fmt.Errorf("removing the earlier demo: %w", err)
		}
	}
	abs, err := filepath.Abs(*dir)
	if err != nil {
		return fmt.Errorf("finding %s: %w", *dir, err)
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the programs beside this one: %w", err)
	}
	f, err := fleet.New(ctx, fleet.Options{Bin: filepath.Dir(exe), Dir: abs, Examples: "probes/examples", Fixed: !*free})
	if err != nil {
		return err
	}
	defer func() {
		fmt.Println("\n正在停止…")
		if serr := f.StopAll(); serr != nil && err == nil {
			err = serr
		}
		fmt.Println("已全部停止。")
	}()
	if err := f.StartAll(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	fmt.Printf("更夫演示已启动（%.1f 秒）\n\n  看板        %s\n  故障开关    %s/_faults\n  收到的告警  %s/_alerts\n  监测定义    %s（Git 仓库，改完提交即生效）\n  日志        %s\n\n",
		time.Since(began).Seconds(), f.URL(), f.Control(), f.Control(), f.Definitions(), filepath.Join(abs, "logs"))
	if verdicts, ok := firstVerdict(ctx, f.URL()); ok {
		fmt.Printf("首个判定已上看板（启动后 %.1f 秒，%d 项服务有判定）。\n\n试一试：\n", time.Since(began).Seconds(), verdicts)
		fmt.Printf("  1. 打开故障开关页，让「社保查询」返回 500，看看板、故障与告警；\n")
		fmt.Printf("  2. 让一项服务只在一个监测点不可达：应显示降级，不产生故障；\n")
		fmt.Printf("  3. 修改 %s 下任一 YAML 并 git commit，几秒后生效；写错时看板会指出文件、行、列；\n", f.Definitions())
		fmt.Printf("  4. 今天的《服务发布日常监控记录》：%s/records\n  5. kill -9 %d（一个探针），它的任务几秒内由其他探针接管。\n\n按 Ctrl-C 全部停止。\n",
			f.URL(), f.Process(fleet.AgentName(2)).PID())
	}
	ended := make(chan *fleet.Process)
	for _, p := range f.Processes() {
		go func() {
			<-p.Done()
			select {
			case ended <- p:
			case <-ctx.Done():
			}
		}()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-ended:
			fmt.Printf("%s 已退出；日志：%s\n", p.Name, p.Log)
		}
	}
}

// firstVerdict waits until the dashboard shows a verdict for some service.
func firstVerdict(ctx context.Context, base string) (int, bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if n := judged(ctx, base); n > 0 {
			return n, true
		}
		select {
		case <-ctx.Done():
			return 0, false
		case <-tick.C:
		}
	}
}

func judged(ctx context.Context, base string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/overview", nil)
	if err != nil {
		return 0
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	var o struct {
		Counts map[string]int `json:"counts"`
	}
	if err := json.NewDecoder(res.Body).Decode(&o); err != nil {
		return 0
	}
	return o.Counts["up"] + o.Counts["down"] + o.Counts["degraded"]
}
