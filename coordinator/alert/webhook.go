package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// The headers of a webhook call.
const (
	HeaderEvent     = "X-Gengfu-Event"
	HeaderDelivery  = "X-Gengfu-Delivery"  // the idempotency key: the same key is the same message
	HeaderSignature = "X-Gengfu-Signature" // "sha256=" and Sign of the body
)

// webhookTimeout bounds one call, its body included.
const webhookTimeout = 10 * time.Second

type webhook struct {
	url    *url.URL
	secret string
	client *http.Client
}

func newWebhook(r definition.Route, client *http.Client) (Channel, error) {
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The address itself may be the secret, so it is not shown.
		return nil, Permanent(fmt.Errorf("route %s: want a url such as https://host/path, got another; see %s", r.Name, r.Source))
	}
	c := *client
	c.Timeout = webhookTimeout
	c.CheckRedirect = sameHost
	return &webhook{url: u, secret: r.Secret, client: &c}, nil
}

// sameHost follows a redirect only where the message stays whole and goes to
// nobody else.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0]
	if req.Method != http.MethodPost || req.URL.Host != first.URL.Host || req.URL.Scheme != first.URL.Scheme || len(via) > 3 {
		return Permanent(errors.New("the webhook redirects elsewhere; put its final address into the route"))
	}
	return nil
}

// Send posts the notification as JSON. Only a 2xx reply means that it was taken.
func (w *webhook) Send(ctx context.Context, n Notification) error {
	body, err := json.Marshal(n)
	if err != nil {
		return Permanent(fmt.Errorf("encoding notification %s: %w", n.Key, err))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url.String(), bytes.NewReader(body))
	if err != nil {
		return Permanent(fmt.Errorf("making the request: %w", withoutURL(err)))
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "gengfu")
	req.Header.Set(HeaderEvent, string(n.Event))
	req.Header.Set(HeaderDelivery, n.Key)
	if w.secret != "" {
		req.Header.Set(HeaderSignature, "sha256="+Sign(w.secret, body))
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return fmt.Errorf("posting to %s: %w", w.url.Host, withoutURL(err))
	}
	defer resp.Body.Close()
	// Reading the rest lets the connection be used again.
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	err = fmt.Errorf("posting to %s: status %d, want 2xx: %s", w.url.Host, resp.StatusCode, probes.Excerpt(string(said)))
	if refused(resp.StatusCode) {
		return Permanent(err)
	}
	return err
}

// refused reports whether a status says that the same message will not be taken later either.
func refused(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status >= 300 && status < 500
}

// Sign is the hex HMAC-SHA256 of a body.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// withoutURL drops the address from an HTTP client's error: its path or query
// may be the secret.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
