// Package alert tells people: notifications about incidents, kept in an outbox
// until a channel took them. One file a channel.
package alert

import (
	"context"
	"time"

	"github.com/gengfu/gengfu/coordinator/incident"
)

// Event is what a notification is about.
type Event string

// The events.
const (
	EventOpened   Event = "incident.opened"
	EventMajor    Event = "incident.major"
	EventResolved Event = "incident.resolved"
	EventTest     Event = "test"
	// EventWithdrawn ends an incident whose probes are no longer defined.
	EventWithdrawn Event = "incident.withdrawn"
)

// Notification is one message about one incident.
type Notification struct {
	Key      string            `json:"key"` // idempotency key: incident, event and route
	Event    Event             `json:"event"`
	At       time.Time         `json:"at"`
	Incident incident.Incident `json:"incident"`
	Title    string            `json:"title"` // one Chinese line
	Text     string            `json:"text"`  // the whole message, Chinese
	Link     string            `json:"link"`  // the incident's page
}

// State is where a delivery stands.
type State string

// The states of a delivery.
const (
	StatePending  State = "pending"
	StateSent     State = "sent"
	StateSilenced State = "silenced"
	StateFailed   State = "failed" // given up, visibly
)

// Delivery is one notification on its way to one route.
type Delivery struct {
	ID           int64        `json:"id"`
	Route        string       `json:"route"`
	Notification Notification `json:"notification"`
	State        State        `json:"state"`
	Attempts     int          `json:"attempts"`
	Created      time.Time    `json:"created"`
	NextAttempt  time.Time    `json:"next_attempt,omitzero"`
	Done         time.Time    `json:"done,omitzero"`
	LastError    string       `json:"last_error,omitempty"` // without secrets
}

// A Channel delivers notifications.
type Channel interface {
	// Send delivers n once. It is retried with backoff unless the error is Permanent.
	Send(ctx context.Context, n Notification) error
}
