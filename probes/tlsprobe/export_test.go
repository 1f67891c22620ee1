package tlsprobe

import (
	"time"

	"github.com/gengfu/gengfu/probes"
)

// KindAt is the kind by a clock that stands still.
func KindAt(at time.Time) probes.Kind { return kind(func() time.Time { return at }) }
