package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/gengfu/gengfu/probes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func open(t *testing.T, dir string, limit int64) *Spool {
	t.Helper()
	s, err := Open(Options{Dir: dir, MaxBytes: limit, Logger: quiet()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// reopen closes s as a kill would leave it, since Append is durable, and opens it again.
func reopen(t *testing.T, s *Spool, limit int64) *Spool {
	t.Helper()
	require.NoError(t, s.Close())
	return open(t, s.dir, limit)
}

// pending reads everything that is not acknowledged.
func pending(s *Spool) []string {
	batch, _, _ := s.traces.batch(1<<20, 1<<40)
	var got []string
	for _, b := range batch {
		got = append(got, string(b))
	}
	return got
}

func fill(t *testing.T, s *Spool, from, to int) (want []string) {
	t.Helper()
	for i := from; i < to; i++ {
		want = append(want, fmt.Sprintf("trace %d %s", i, bytes.Repeat([]byte("x"), i%50)))
		require.NoError(t, s.Append(t.Context(), []byte(want[len(want)-1])))
	}
	return want
}

func segments(t *testing.T, s *Spool) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "traces", "*.log"))
	require.NoError(t, err)
	return files
}

func picture(text string) probes.Evidence {
	sum := sha256.Sum256([]byte(text))
	return probes.Evidence{Kind: "screenshot", MIME: "image/jpeg", SHA256: hex.EncodeToString(sum[:]), Size: len(text), Data: []byte(text)}
}

func TestTracesSurviveReopening(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	want := fill(t, s, 0, 30)
	require.Equal(t, want, pending(s))
	s = reopen(t, s, 1<<20)
	want = append(want, fill(t, s, 30, 40)...)
	require.Equal(t, want, pending(s))
	require.Equal(t, 40, s.Stats().Pending)

	_, _, end := s.traces.batch(35, 1<<40)
	s.traces.ack(end, now)
	require.Equal(t, want[35:], pending(s))
	s = reopen(t, s, 1<<20)
	require.Equal(t, want[35:], pending(s), "the acknowledged are not delivered again")
	require.Len(t, segments(t, s), 1, "the segment that is delivered whole is gone")
	require.Equal(t, 5, s.Stats().Pending)
}

func TestALostAckFileDeliversAgain(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	want := fill(t, s, 0, 5)
	_, _, end := s.traces.batch(3, 1<<40)
	s.traces.ack(end, now)
	for _, content := range []string{"", "7", "garbage\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, "ack"), []byte(content), 0o600))
		s = reopen(t, s, 1<<20)
		require.Equal(t, want, pending(s), "%q", content)
	}
}

// A number is never used twice, or an old position would hide new traces.
func TestNewSegmentsNeverHideBehindAnOldAck(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	fill(t, s, 0, 5)
	_, _, end := s.traces.batch(5, 1<<40)
	s.traces.ack(end, now)
	s = reopen(t, s, 1<<20)
	require.Empty(t, pending(s))
	require.Empty(t, segments(t, s))
	want := fill(t, s, 9, 10)
	s = reopen(t, s, 1<<20)
	require.Equal(t, want, pending(s))
}

func TestATornTailIsCutOff(t *testing.T) {
	whole := frame(1, 0, []byte("payload of a record"))
	for cut := 1; cut < len(whole); cut++ {
		s := open(t, t.TempDir(), 1<<20)
		want := fill(t, s, 0, 3)
		path := segments(t, s)[0]
		info, err := os.Stat(path)
		require.NoError(t, err)
		torn := frame(1, info.Size(), []byte("payload of a record"))[:cut]
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = f.Write(torn)
		require.NoError(t, err)
		require.NoError(t, f.Close())

		s = reopen(t, s, 1<<20)
		require.Equal(t, want, pending(s))
		require.Zero(t, s.Stats().Corrupt)
		after, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, info.Size(), after.Size())
		require.NoError(t, s.Close())
	}
}

func TestADamagedRecordIsPassedOverAndCounted(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	want := fill(t, s, 0, 10)
	path := segments(t, s)[0]
	recs := s.traces.segs[0].recs
	require.NoError(t, s.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[recs[3].off+headerSize] ^= 1 // payload
	data[recs[6].off+5] ^= 0x40       // length
	require.NoError(t, os.WriteFile(path, data, 0o600))

	s = open(t, s.dir, 1<<20)
	require.Equal(t, []string{want[0], want[1], want[2], want[4], want[5], want[7], want[8], want[9]}, pending(s))
	require.EqualValues(t, 2, s.Stats().Corrupt)

	// Damage that comes while it is open is found when the record is read, once.
	data[recs[4].off+headerSize] ^= 1
	require.NoError(t, os.WriteFile(path, data, 0o600))
	for range 3 {
		require.Equal(t, []string{want[0], want[1], want[2], want[5], want[7], want[8], want[9]}, pending(s))
	}
	require.EqualValues(t, 3, s.Stats().Corrupt)
	require.NoError(t, os.Remove(path))
	require.Empty(t, pending(s), "somebody removed the segment")
	require.EqualValues(t, 10, s.Stats().Corrupt)
}

func TestAPayloadThatLooksLikeARecordIsNotOne(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	inner := frame(1, 0, []byte("forged"))
	require.NoError(t, s.Append(t.Context(), slicesRepeat(inner, 5)))
	require.NoError(t, s.Append(t.Context(), []byte("after")))
	path := segments(t, s)[0]
	require.NoError(t, s.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[8] ^= 1 // the outer record's checksum
	require.NoError(t, os.WriteFile(path, data, 0o600))
	s = open(t, s.dir, 1<<20)
	require.Equal(t, []string{"after"}, pending(s))
}

func slicesRepeat(b []byte, n int) []byte { return bytes.Repeat(b, n) }

func TestTheOldestGiveWayAndAreCounted(t *testing.T) {
	const limit = 128 << 10
	var logged bytes.Buffer
	s, err := Open(Options{Dir: t.TempDir(), MaxBytes: limit, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	var all []string
	for i := range 300 {
		all = append(all, fmt.Sprintf("%04d%s", i, bytes.Repeat([]byte("x"), 1000)))
		require.NoError(t, s.Append(t.Context(), []byte(all[i])))
		require.LessOrEqual(t, s.Stats().Bytes, int64(limit))
	}
	got, st := pending(s), s.Stats()
	require.Equal(t, all[300-len(got):], got, "the newest stay, in order")
	require.Greater(t, len(got), 50)
	require.EqualValues(t, 300-len(got), st.Dropped)
	require.Equal(t, len(got), st.Pending)
	var onDisk int64
	for _, f := range segments(t, s) {
		info, err := os.Stat(f)
		require.NoError(t, err)
		onDisk += info.Size()
	}
	require.Equal(t, st.Bytes, onDisk)
	require.Contains(t, logged.String(), fmt.Sprintf("dropped_in_all=%d", st.Dropped))
}

func TestDroppingUnderADeliveryInFlight(t *testing.T) {
	s := open(t, t.TempDir(), MinBytes)
	big := bytes.Repeat([]byte("x"), 10<<10)
	require.NoError(t, s.Append(t.Context(), big))
	_, _, end := s.traces.batch(1, 1<<20)
	for range 20 {
		require.NoError(t, s.Append(t.Context(), big))
	}
	before := s.Stats()
	s.traces.ack(end, now)
	require.Equal(t, before.Pending, s.Stats().Pending, "what was acknowledged had been dropped: nothing else goes with it")
}

func TestWhatCanNeverFitIsRefused(t *testing.T) {
	s := open(t, t.TempDir(), MinBytes)
	want := fill(t, s, 0, 3)
	require.ErrorContains(t, s.Append(t.Context(), make([]byte, MinBytes)), "want at most")
	require.ErrorContains(t, s.Append(t.Context(), make([]byte, maxRecord+1)), "want at most")
	require.Equal(t, want, pending(s))
	_, err := Open(Options{})
	require.ErrorContains(t, err, "want a directory")
	require.ErrorContains(t, err, "want a limit of at least 65536 bytes, got 0")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Append(ctx, nil), context.Canceled)
	require.ErrorIs(t, s.PutEvidence(ctx, picture("x")), context.Canceled)
}

func TestASecondOpenerIsToldWhatToDo(t *testing.T) {
	s := open(t, t.TempDir(), MinBytes)
	_, err := Open(Options{Dir: s.dir, MaxBytes: MinBytes, Logger: quiet()})
	require.EqualError(t, err, fmt.Sprintf("spool %s is in use by process %d; give every agent a data directory of its own", s.dir, os.Getpid()))
	reopen(t, s, MinBytes)
}

func TestConcurrentAppendsShareSyncs(t *testing.T) {
	s := open(t, t.TempDir(), 8<<20)
	var syncs counter
	s.traces.create = func(path string) (file, error) {
		f, err := createFile(path)
		return &faulty{file: f, syncs: &syncs}, err
	}
	var wg sync.WaitGroup
	const n = 400
	for i := range n {
		wg.Go(func() {
			if err := s.Append(context.Background(), fmt.Appendf(nil, "trace %d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got := map[string]bool{}
	for _, p := range pending(s) {
		got[p] = true
	}
	require.Len(t, got, n)
	require.LessOrEqual(t, syncs.n, n)
}

type counter struct {
	mu sync.Mutex
	n  int
}

// faulty fails as it is told, like a full or dying disk.
type faulty struct {
	file
	syncs   *counter
	room    *int64 // bytes left; nil is unlimited
	failing func() error
}

func (f *faulty) WriteAt(b []byte, off int64) (int, error) {
	if f.room == nil || int64(len(b)) <= *f.room {
		if f.room != nil {
			*f.room -= int64(len(b))
		}
		return f.file.WriteAt(b, off)
	}
	n, err := f.file.WriteAt(b[:*f.room], off)
	return n, errors.Join(err, syscall.ENOSPC)
}

func (f *faulty) Sync() error {
	if f.syncs != nil {
		f.syncs.mu.Lock()
		f.syncs.n++
		f.syncs.mu.Unlock()
	}
	if f.failing != nil {
		if err := f.failing(); err != nil {
			return err
		}
	}
	return f.file.Sync()
}

func TestAFullDiskLosesNothingStored(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	room := int64(500)
	s.traces.create = func(path string) (file, error) {
		f, err := createFile(path)
		return &faulty{file: f, room: &room}, err
	}
	var want []string
	var full int
	for i := range 30 {
		text := fmt.Sprintf("trace number %d", i)
		if err := s.Append(t.Context(), []byte(text)); err != nil {
			full++
			require.ErrorIs(t, err, syscall.ENOSPC)
			require.ErrorContains(t, err, "is full; free space there or give the spool a smaller limit")
			continue
		}
		want = append(want, text)
	}
	require.NotZero(t, full)
	require.NotEmpty(t, want)
	require.Equal(t, want, pending(s))
	room = 1 << 20 // space was made
	require.NoError(t, s.Append(t.Context(), []byte("later")))
	s.traces.segSize = 1 // the segment that was torn is no longer the newest
	require.NoError(t, s.Append(t.Context(), []byte("last")))
	want = append(want, "later", "last")
	require.Equal(t, want, pending(s))
	s = reopen(t, s, 1<<20)
	require.Equal(t, want, pending(s))
	require.Zero(t, s.Stats().Corrupt)
}

func TestAFailedSyncIsReportedAndTakenBack(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	var broken error
	s.traces.create = func(path string) (file, error) {
		f, err := createFile(path)
		return &faulty{file: f, failing: func() error { return broken }}, err
	}
	want := fill(t, s, 0, 3)
	broken = syscall.EIO
	require.ErrorIs(t, s.Append(t.Context(), []byte("doubtful")), syscall.EIO)
	require.Equal(t, want, pending(s))
	require.Equal(t, 3, s.Stats().Pending)
	broken = nil
	want = append(want, fill(t, s, 4, 6)...)
	require.Equal(t, want, pending(s))
	s = reopen(t, s, 1<<20)
	require.Equal(t, want, pending(s))
	require.Equal(t, len(want), s.Stats().Pending)
}

func TestEvidenceIsKeptOnceAndBounded(t *testing.T) {
	s := open(t, t.TempDir(), MinBytes)
	e := picture("a picture")
	require.NoError(t, s.PutEvidence(t.Context(), e))
	require.NoError(t, s.PutEvidence(t.Context(), e))
	require.Equal(t, 1, s.Stats().Evidence)
	s = reopen(t, s, MinBytes)
	got, ok := s.evidence.oldest()
	require.True(t, ok)
	require.Equal(t, e, got)

	wrong := e
	wrong.Data = []byte("another")
	require.ErrorContains(t, s.PutEvidence(t.Context(), wrong), "its SHA-256 is")
	require.ErrorContains(t, s.PutEvidence(t.Context(), picture(string(make([]byte, MaxEvidence+1)))), "want at most")

	for i := range 10 {
		require.NoError(t, s.PutEvidence(t.Context(), picture(fmt.Sprint(i, string(bytes.Repeat([]byte("x"), 4000))))))
	}
	st := s.Stats()
	require.EqualValues(t, 11-st.Evidence, st.EvidenceDropped)
	require.Less(t, st.Evidence, 5)
	require.LessOrEqual(t, st.Bytes, int64(MinBytes/4))

	names, err := filepath.Glob(filepath.Join(s.dir, "evidence", "*"))
	require.NoError(t, err)
	require.Len(t, names, st.Evidence)
	for _, name := range names {
		require.NoError(t, os.WriteFile(name, []byte("{}\ndamaged"), 0o600))
	}
	require.NoError(t, os.WriteFile(names[0]+".tmp", nil, 0o600))
	s = reopen(t, s, MinBytes)
	_, ok = s.evidence.oldest()
	require.False(t, ok)
	require.EqualValues(t, st.Evidence, s.Stats().Corrupt)
	names, err = filepath.Glob(filepath.Join(s.dir, "evidence", "*"))
	require.NoError(t, err)
	require.Empty(t, names)
}

// The model: a queue in memory. Whatever is done, in whatever order, the spool
// holds exactly what was appended and not acknowledged.
func TestAnyHistoryKeepsTheQueue(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "spool")
		require.NoError(rt, err)
		s := open(t, dir, 16<<20)
		s.traces.segSize = 200
		var want []string
		n := 0
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				n++
				text := fmt.Sprintf("%d:%s", n, bytes.Repeat(magic, rapid.IntRange(0, 40).Draw(rt, "size")))
				require.NoError(rt, s.Append(context.Background(), []byte(text)))
				want = append(want, text)
			},
			"acknowledge": func(rt *rapid.T) {
				batch, _, end := s.traces.batch(rapid.IntRange(1, 5).Draw(rt, "count"), rapid.Int64Range(0, 500).Draw(rt, "bytes"))
				for i, b := range batch {
					require.Equal(rt, want[i], string(b))
				}
				require.Equal(rt, len(want) > 0, len(batch) > 0)
				s.traces.ack(end, now)
				want = want[len(batch):]
			},
			"reopen": func(*rapid.T) {
				require.NoError(rt, s.Close())
				s = open(t, dir, 16<<20)
				s.traces.segSize = 200
			},
			"torn write": func(rt *rapid.T) {
				// A write that was under way when the power went.
				require.NoError(rt, s.Close())
				ids, err := listSegments(filepath.Join(dir, "traces"))
				require.NoError(rt, err)
				if len(ids) > 0 {
					f, err := os.OpenFile(segmentPath(filepath.Join(dir, "traces"), ids[len(ids)-1]), os.O_APPEND|os.O_WRONLY, 0)
					require.NoError(rt, err)
					_, err = f.Write(frame(99, 0, []byte("torn"))[:rapid.IntRange(1, 15).Draw(rt, "cut")])
					require.NoError(rt, errors.Join(err, f.Close()))
				}
				s = open(t, dir, 16<<20)
				s.traces.segSize = 200
			},
			"": func(rt *rapid.T) {
				require.Equal(rt, len(want), s.Stats().Pending)
				require.Zero(rt, s.Stats().Corrupt)
				got := pending(s)
				require.Len(rt, got, len(want))
				for i := range got {
					require.Equal(rt, want[i], got[i])
				}
			},
		})
		require.NoError(rt, s.Close())
	})
}

func FuzzScan(f *testing.F) {
	one := frame(1, 0, []byte("one"))
	f.Add(append(bytes.Clone(one), frame(1, int64(len(one)), []byte("two"))...))
	f.Add([]byte("GFS1GFS1GFS1GFS1GFS1"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, newest := range []bool{false, true} {
			path := segmentPath(t.TempDir(), 1)
			require.NoError(t, os.WriteFile(path, data, 0o600))
			s, _, err := scan(path, 1, newest)
			require.NoError(t, err)
			for _, r := range s.recs {
				_, ok := unframe(1, r.off, data[r.off:])
				require.True(t, ok)
			}
			again, corrupt, err := scan(path, 1, newest)
			require.NoError(t, err)
			require.Equal(t, s.recs, again.recs)
			if newest && len(again.recs) == 0 && again.size == 0 {
				require.Zero(t, corrupt)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	s, err := Open(Options{Dir: b.TempDir(), MaxBytes: 1 << 30, Logger: quiet()})
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close()) }()
	payload := make([]byte, 4000)
	for i := range payload {
		payload[i] = byte(rand.Uint32())
	}
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Append(context.Background(), payload); err != nil {
				b.Error(err)
			}
		}
	})
}
