package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Event is something that changed, for pages and programs that follow live.
type Event struct {
	Kind    string `json:"kind"` // "slot", "incident", "catalog", "agents"
	Service string `json:"service,omitempty"`
	ID      string `json:"id,omitempty"`
}

// Hub hands events to whoever listens. A listener that is too slow loses events
// and is told to look at everything again.
type Hub struct {
	mu      sync.Mutex
	clients map[*client]struct{}
	closed  bool
	most    int // listeners at once
	dropped atomic.Uint64
}

type client struct {
	events chan Event
	missed chan struct{} // holds one when events were lost of which it was not told
}

// maxClients bounds the open live pages of one coordinator.
const maxClients = 2000

// queue is how many events a listener may be behind before it loses some.
const queue = 64

// NewHub makes a Hub.
func NewHub() *Hub { return &Hub{clients: map[*client]struct{}{}, most: maxClients} }

// Publish hands e to every listener, without waiting for any.
func (h *Hub) Publish(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.clients {
		select {
		case c.events <- e:
		default:
			select {
			case c.missed <- struct{}{}:
			default:
			}
			h.dropped.Add(1)
		}
	}
}

// Dropped is how many events slow listeners lost.
func (h *Hub) Dropped() uint64 { return h.dropped.Load() }

// Clients is how many listen now.
func (h *Hub) Clients() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.clients)
}

// Close ends every stream, so that a server can shut down.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for c := range h.clients {
		close(c.events)
		delete(h.clients, c)
	}
}

func (h *Hub) join() (*client, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.clients) >= h.most {
		return nil, false
	}
	c := &client{events: make(chan Event, queue), missed: make(chan struct{}, 1)}
	h.clients[c] = struct{}{}
	return c, true
}

func (h *Hub) leave(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, c)
}

// events is the stream of Server-Sent Events.
func (s *server) events(w http.ResponseWriter, r *http.Request) error {
	c, ok := s.Events.join()
	if !ok {
		w.Header().Set("Retry-After", "10")
		WriteProblem(w, http.StatusServiceUnavailable, "实时连接过多", fmt.Sprintf("最多 %d 个，请稍后重试", s.Events.most))
		return nil
	}
	defer s.Events.leave(c)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(w)
	// A stream outlasts the server's bound on reading a request, which has no body.
	if err := out.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("lifting the bound on reading from a live page: %w", err)
	}
	write := func(text string) error {
		// A dead peer must not hold its slot: each write has a bound of its own.
		if err := out.SetWriteDeadline(time.Now().Add(15 * time.Second)); err != nil {
			return fmt.Errorf("bounding the write of an event: %w", err)
		}
		if err := send(w, []byte(text)); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("writing an event: %w: %w", errGone, err)
		}
		return nil
	}
	tell := func(e Event) error {
		body, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encoding an event: %w", err)
		}
		return write(fmt.Sprintf("event: %s\ndata: %s\n\n", e.Kind, body))
	}
	if err := write("retry: 2000\n\n"); err != nil {
		return err
	}
	beat := time.NewTicker(20 * time.Second)
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-beat.C:
			if err := write(": beat\n\n"); err != nil {
				return err
			}
		case e, ok := <-c.events:
			if !ok {
				return nil
			}
			if err := tell(e); err != nil {
				return err
			}
		case <-c.missed:
			// What was lost is not known any more: look at everything again.
			if err := tell(Event{Kind: "all"}); err != nil {
				return err
			}
		}
	}
}
