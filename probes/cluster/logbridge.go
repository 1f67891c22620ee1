package cluster

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// logBridge carries memberlist's log lines to slog: at debug level, but for the
// few that say what a person should mend.
type logBridge struct {
	log *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time // by message, so that a flood becomes one line a minute
}

// notable are the lines of memberlist worth a warning, and what they mean.
var notable = []struct{ sign, meaning string }{
	{"no installed keys could decrypt", "somebody without our cluster key spoke to us: check the key on that host"},
	{"Decrypt packet failed", "somebody without our cluster key spoke to us: check the key on that host"},
	{"remote state is not encrypted", "somebody spoke to us without encryption: check the key on that host"},
	{"unacceptable label", "a member of another fleet spoke to us: check its label"},
	{"over TCP but UDP probes failed", "a member answers over tcp but not over udp: open the gossip port for udp too"},
	{"handler queue full", "gossip comes in faster than it is handled: this host is too busy"},
}

func (b *logBridge) Write(p []byte) (int, error) {
	line := strings.TrimSpace(string(p))
	if _, after, ok := strings.Cut(line, "memberlist: "); ok {
		line = after
	}
	own := strings.HasPrefix(line, "failed to join") // keepJoined tells of these
	for _, n := range notable {
		if !own && strings.Contains(line, n.sign) && b.due(n.meaning) {
			b.log.LogAttrs(context.Background(), slog.LevelWarn, "gossip is in trouble", slog.String("meaning", n.meaning), slog.String("detail", line))
			return len(p), nil
		}
	}
	b.log.LogAttrs(context.Background(), slog.LevelDebug, "memberlist", slog.String("line", line))
	return len(p), nil
}

func (b *logBridge) due(message string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last == nil {
		b.last = map[string]time.Time{}
	}
	if at, ok := b.last[message]; ok && time.Since(at) < time.Minute {
		return false
	}
	b.last[message] = time.Now()
	return true
}
