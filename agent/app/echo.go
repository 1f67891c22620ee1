package app

import (
	"context"
	"log/slog"
	"net"

	"github.com/gengfu/gengfu/probes/icmpprobe"
)

// echoes opens sockets for echo requests, or is nil where the host allows none:
// then probes that need them go to agents that may, and the log says how to mend it.
func echoes(log *slog.Logger) func(context.Context, string) (net.PacketConn, error) {
	if err := icmpprobe.Allowed(context.Background()); err != nil {
		log.Info("this agent sends no pings", "err", err, "allow", icmpprobe.Allow)
		return nil
	}
	return icmpprobe.Open
}
