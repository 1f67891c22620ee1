package cluster

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// keepJoined tries the seeds until one answers, and then again every
// RejoinEvery: after a partition the halves have given each other up, and
// nobody but the seeds could bring them together.
func (c *Cluster) keepJoined(ctx context.Context) {
	if len(c.o.Join) == 0 {
		return
	}
	const first = 250 * time.Millisecond
	var (
		joined bool
		told   = map[string]bool{} // seeds whose refusal was logged
		wait   = first
		most   = min(15*time.Second, c.o.RejoinEvery)
		warned bool
	)
	for {
		ok, err := c.joinSeeds(ctx, told)
		switch {
		case ctx.Err() != nil:
			return
		case ok && !joined:
			joined = true
			c.log.Info("joined the cluster", "members", len(c.Members()))
		case !ok && !joined && !warned && err != nil:
			warned = true
			c.log.Warn("no seed answers yet, trying on", "seeds", c.o.Join, "err", err)
		}
		pause := c.o.RejoinEvery
		if !joined {
			pause = wait
			wait = min(wait*2, most)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(jitter(pause)):
		}
	}
}

// jitter spreads d by a quarter either way.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}

// joinSeeds exchanges states with every seed and says whether one answered.
func (c *Cluster) joinSeeds(ctx context.Context, told map[string]bool) (ok bool, err error) {
	var errs []error
	for _, seed := range c.o.Join {
		if ctx.Err() != nil {
			return ok, ctx.Err()
		}
		if c.isSelf(seed) {
			continue
		}
		_, err := c.list.Join([]string{seed})
		switch {
		case err == nil:
			ok = true
			delete(told, seed)
		case refusal(err):
			if !told[seed] {
				told[seed] = true
				c.log.Warn("a seed did not accept us: check that the cluster key and label are the same as on the other members",
					"seed", seed, "err", err)
			}
			errs = append(errs, err)
		default:
			errs = append(errs, err)
		}
	}
	return ok, errors.Join(errs...)
}

// refusal tells a seed that is there but does not understand us from one that
// does not answer. memberlist does not wrap its errors, so their text decides.
func refusal(err error) bool {
	text := err.Error()
	for _, sign := range []string{
		"no installed keys could decrypt", // it answered in a key that is not ours
		"remote error",                    // it answered that it could not read us
		"encryption is configured but remote state is not encrypted",
		io.EOF.Error(), // it hung up: another label
		"connection reset by peer",
	} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// isSelf reports whether seed is our own address; joining ourselves would pass
// for a success.
func (c *Cluster) isSelf(seed string) bool {
	if seed == c.addr || seed == c.o.Bind || seed == c.o.Advertise {
		return true
	}
	host, port, err := net.SplitHostPort(seed)
	if err != nil {
		return false
	}
	ownHost, ownPort, err := net.SplitHostPort(c.addr)
	if err != nil || port != ownPort {
		return false
	}
	ip, own := net.ParseIP(host), net.ParseIP(ownHost)
	return host == "localhost" && own.IsLoopback() || ip != nil && ip.Equal(own)
}
