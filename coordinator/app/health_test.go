package app

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/ingest"
	"github.com/gengfu/gengfu/probes/cluster"
)

func TestDiskWarnings(t *testing.T) {
	cfg := Config{DataDir: "/data", DiskWarnPercent: 5, DiskWarnMB: 500}
	at := func(free, total uint64) func(string) (space, error) {
		return func(dir string) (space, error) {
			require.Equal(t, "/data", dir)
			return space{free: free * mega, total: total * mega}, nil
		}
	}
	require.Empty(t, diskWarnings(cfg, at(501, 10_000)))
	require.Empty(t, diskWarnings(cfg, at(50_000, 1_000_000)), "5 % exactly")
	got := diskWarnings(cfg, at(49_999, 1_000_000))
	require.Len(t, got, 1)
	require.Equal(t, "disk", got[0].Kind)
	require.Contains(t, got[0].Text, "/data 所在磁盘只剩 49999 MB（5.0%）")
	require.Len(t, diskWarnings(cfg, at(499, 1000)), 1)
	require.Len(t, diskWarnings(cfg, at(0, 0)), 1, "a disk that says nothing of its size")
	off := Config{DataDir: "/data"}
	require.Empty(t, diskWarnings(off, at(1, 1_000_000)))

	fail := func(err error) func(string) (space, error) {
		return func(string) (space, error) { return space{}, fmt.Errorf("looking: %w", err) }
	}
	require.Contains(t, diskWarnings(cfg, fail(fs.ErrNotExist))[0].Text, "不存在")
	require.Contains(t, diskWarnings(cfg, fail(errors.New("stale handle")))[0].Text, "stale handle")
	require.Empty(t, diskWarnings(cfg, fail(errors.ErrUnsupported)))
}

func TestDiskSpace(t *testing.T) {
	dir := t.TempDir()
	s, err := diskSpace(dir)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("not here")
	}
	require.NoError(t, err)
	require.Positive(t, s.total)
	require.LessOrEqual(t, s.free, s.total)
	_, err = diskSpace(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestWriteWarnings(t *testing.T) {
	require.Empty(t, writeWarnings(ingest.Failure{}))
	got := writeWarnings(ingest.Failure{At: time.Date(2026, 11, 25, 1, 2, 3, 0, time.UTC), Err: errors.New("database or disk is full")})
	require.Len(t, got, 1)
	require.Equal(t, "disk", got[0].Kind)
	require.Contains(t, got[0].Text, "2026-11-25 09:02:03 保存拨测结果失败")
	require.Contains(t, got[0].Text, "database or disk is full")
}

func TestSecondWarnings(t *testing.T) {
	self := cluster.Member{Name: "a", Meta: cluster.Meta{Role: "coordinator"}, Self: true}
	agent := cluster.Member{Name: "b", Meta: cluster.Meta{Role: "agent"}}
	require.Empty(t, secondWarnings([]cluster.Member{self, agent}))
	got := secondWarnings([]cluster.Member{
		{Name: "d", Addr: "192.0.2.4:7946", Meta: cluster.Meta{Role: "coordinator"}},
		self, agent,
		{Name: "c", Addr: "192.0.2.3:7946", Meta: cluster.Meta{Role: "coordinator"}},
	})
	require.Len(t, got, 1)
	require.Equal(t, "second_coordinator", got[0].Kind)
	require.Contains(t, got[0].Text, "c（192.0.2.3:7946）、d（192.0.2.4:7946）")
}
