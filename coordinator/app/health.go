package app

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/ingest"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/cluster"
)

// health tells what is wrong with this coordinator itself.
func (a *App) health() []view.Warning {
	out := diskWarnings(a.cfg, diskSpace)
	out = append(out, writeWarnings(a.ingest.LastFailure())...)
	return append(out, secondWarnings(a.cluster.Members())...)
}

// space is a file system's size and what is free for us, in bytes.
type space struct{ free, total uint64 }

const mega = 1_000_000

// diskWarnings tells when the data directory's disk is nearly full.
func diskWarnings(cfg Config, look func(dir string) (space, error)) []view.Warning {
	s, err := look(cfg.DataDir)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return []view.Warning{{Kind: "disk", Text: fmt.Sprintf("数据目录 %s 不存在，新的拨测结果无法保存；请恢复该目录后重启协调器。", cfg.DataDir)}}
	}
	if err != nil {
		return []view.Warning{{Kind: "disk", Text: fmt.Sprintf("无法查看数据目录 %s 所在磁盘的剩余空间，请检查该目录：%s", cfg.DataDir, probes.Excerpt(err.Error()))}}
	}
	few := s.free < uint64(cfg.DiskWarnMB)*mega
	if s.total > 0 && float64(s.free)*100 < float64(s.total)*float64(cfg.DiskWarnPercent) {
		few = true
	}
	if !few {
		return nil
	}
	share := ""
	if s.total > 0 {
		share = fmt.Sprintf("（%.1f%%）", float64(s.free)*100/float64(s.total))
	}
	return []view.Warning{{Kind: "disk", Text: fmt.Sprintf(
		"数据目录 %s 所在磁盘只剩 %d MB%s，写满后新的拨测结果无法保存；请清理或扩容。", cfg.DataDir, s.free/mega, share)}}
}

// writeWarnings tells when results cannot be written.
func writeWarnings(f ingest.Failure) []view.Warning {
	if f.Err == nil {
		return nil
	}
	return []view.Warning{{Kind: "disk", Text: fmt.Sprintf(
		"%s 保存拨测结果失败，此后还没有成功过；结果暂存在各探针，恢复后会自动补传，请检查磁盘和数据库：%s",
		f.At.In(calendar.Zone).Format("2006-01-02 15:04:05"), probes.Excerpt(f.Err.Error()))}}
}

// secondWarnings tells when another coordinator is alive: each run reaches only
// one of two databases, so that neither hears all vantages.
func secondWarnings(members []cluster.Member) []view.Warning {
	var others []string
	for _, m := range members {
		if m.Meta.Role == "coordinator" && !m.Self {
			others = append(others, fmt.Sprintf("%s（%s）", m.Name, m.Addr))
		}
	}
	if len(others) == 0 {
		return nil
	}
	slices.Sort(others)
	return []view.Warning{{Kind: "second_coordinator", Link: "/agents", Text: fmt.Sprintf(
		"集群中还有其他协调器在线：%s。各协调器的数据库相互独立，监测点的结论会分散，异常可能无法确认；请只保留一个。", strings.Join(others, "、"))}}
}
