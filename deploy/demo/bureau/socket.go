package bureau

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// pathQueue is where the page of appointments hears how long the queue is.
const pathQueue = "/app/ldjd/queue"

// socketIdle ends a socket over which nobody asks anything.
const socketIdle = time.Minute

// isSocket reports whether a visitor wants a WebSocket.
func isSocket(r *http.Request) bool { return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") }

// queue is one message about the queue.
type queue struct {
	Type    string `json:"type"`
	Waiting int    `json:"waiting"` // people
}

// socket tells the length of the queue at once, and again whenever it is asked.
func (b *Bureau) socket(w http.ResponseWriter, v visit) {
	if v.URL.Path != pathQueue {
		a := b.html(v, "notfound", "页面不存在", nil)
		a.status = http.StatusNotFound
		write(w, a, false)
		return
	}
	ws, err := websocket.Accept(w, v.Request, nil)
	if err != nil {
		b.log.Debug("socket refused", "err", err) // the visitor was told
		return
	}
	defer ws.CloseNow() //nolint:errcheck // the visitor may have gone
	for {
		data, err := json.Marshal(queue{Type: "queue", Waiting: 3 + v.now.Minute()%5})
		if err != nil {
			return
		}
		if err := ws.Write(v.Context(), websocket.MessageText, data); err != nil {
			return
		}
		if !heard(ws, v.Request) {
			return
		}
	}
}

// heard waits for the visitor to ask again.
func heard(ws *websocket.Conn, r *http.Request) bool {
	timer := time.AfterFunc(socketIdle, func() { ws.CloseNow() })
	defer timer.Stop()
	_, _, err := ws.Read(r.Context())
	return err == nil
}
