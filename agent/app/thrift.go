package app

import (
	"net"
	"time"
)

// ballast is what Ballast holds, in bytes.
const ballast = 32 << 20

// Ballast is memory that nobody touches, so that it takes none of the host's
// itself. As long as the caller keeps it, the heap counts as that much larger than
// it is and is collected after 32 MiB of garbage, where a small agent's would be
// every hundred runs: collecting took a fifth of a plain probe's CPU. The price is
// that garbage: an agent holds up to 100 MB instead of 35. A program holds it, not
// New, since it is about the process.
func Ballast() []byte { return make([]byte, ballast) }

// Dialer makes the connections of plain probes. They end long before a keep-alive
// could matter, and setting one up takes four calls of the kernel.
func Dialer(resolver *net.Resolver) *net.Dialer {
	return &net.Dialer{Timeout: 30 * time.Second, KeepAlive: -1, Resolver: resolver}
}
