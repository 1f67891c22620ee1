package bureau

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	maxAlert  = 1 << 20 // bytes of one alert
	keptMost  = 500     // alerts that are kept; the oldest go first
	timeShown = "01-02 15:04:05"
)

// received is one alert as it came.
type received struct {
	at     time.Time
	times  int // how often it was delivered
	key    string
	fields map[string]json.RawMessage
}

// inbox keeps the alerts, oldest first.
type inbox struct {
	mu   sync.Mutex
	list []*received
}

// take keeps an alert; one with a known key only counts as said again.
func (b *inbox) take(body []byte) error {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(body, &fields); err != nil {
		return errors.New("告警应为一个 JSON 对象")
	}
	key := text(fields["key"])
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.IndexFunc(b.list, func(r *received) bool { return key != "" && r.key == key }); i >= 0 {
		b.list[i].times++
		return nil
	}
	b.list = append(b.list, &received{at: time.Now(), times: 1, key: key, fields: fields})
	if over := len(b.list) - keptMost; over > 0 {
		b.list = slices.Delete(b.list, 0, over)
	}
	return nil
}

func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// bodies are the alerts as they came, newest first, with "received_at" and
// "deliveries" added.
func (b *inbox) bodies() []map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]map[string]any, 0, len(b.list))
	for _, r := range slices.Backward(b.list) {
		m := map[string]any{}
		for k, v := range r.fields {
			m[k] = v
		}
		m["received_at"], m["deliveries"] = r.at.UTC(), r.times
		out = append(out, m)
	}
	return out
}

// shownAlert is an alert as the page shows it.
type shownAlert struct {
	At, Event, Title, Text, Link string
	Times                        int
}

func (b *inbox) shown() []shownAlert {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []shownAlert
	for _, r := range slices.Backward(b.list) {
		out = append(out, shownAlert{
			At: r.at.In(zone).Format(timeShown), Event: text(r.fields["event"]), Title: text(r.fields["title"]),
			Text: text(r.fields["text"]), Link: text(r.fields["link"]), Times: r.times,
		})
	}
	return out
}
