package alert

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/gengfu/gengfu/probes/definition"
)

// channels is the table of channels: a route's "channel", and what delivers for
// it. The route's secrets are already expanded.
var channels = []struct {
	name string
	open func(r definition.Route, client *http.Client) (Channel, error)
}{
	{"webhook", newWebhook},
}

// Channels lists the names of the channels.
func Channels() []string {
	var names []string
	for _, c := range channels {
		names = append(names, c.name)
	}
	return names
}

func openChannel(r definition.Route, client *http.Client) (Channel, error) {
	for _, c := range channels {
		if c.name == r.Channel {
			return c.open(r, client)
		}
	}
	return nil, Permanent(fmt.Errorf("route %s: want channel %v, got %q", r.Name, Channels(), r.Channel))
}

// Permanent marks an error that trying again will hardly mend.
func Permanent(err error) error { return &permanentError{err} }

type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

func isPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}
