package probes

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Channel is the way by which the public reaches a service.
type Channel string

// The channels.
const (
	ChannelPortal   Channel = "portal"   // 门户
	ChannelWechat   Channel = "wechat"   // 公众号 H5
	ChannelApp      Channel = "app"      // APP H5
	ChannelPlatform Channel = "platform" // 市平台接口
	ChannelRuntime  Channel = "runtime"  // 基础运行环境
)

// Channels lists the channels in the order in which documents and pages show them.
func Channels() []Channel {
	return []Channel{ChannelPortal, ChannelWechat, ChannelApp, ChannelPlatform, ChannelRuntime}
}

// Known reports whether c is one of Channels.
func (c Channel) Known() bool { return slices.Contains(Channels(), c) }

// Life is the stage of a service. Only published time counts for availability.
type Life string

// The stages of a service.
const (
	LifeDraft     Life = "draft"     // probed, shown, neither alerted nor recorded
	LifePublished Life = "published" // the default
	LifeRetired   Life = "retired"   // no longer probed
)

// Service is a published thing the public uses.
type Service struct {
	ID       string   // unique, lower-case letters, digits and "-"
	Name     string   // the Chinese name, as the public reads it
	Code     string   // 服务编码 of the documents; may be empty
	Channel  Channel  //
	Owner    string   // the office in charge
	URL      string   // the address the public opens; ${service.url} in probes
	Menu     []string // menu path, first level first; may be empty
	Life     Life     //
	Critical bool     // counts towards "the system" of the grading rule
	Target   float64  // availability objective in percent, e.g. 99.9; 0 when none
	Runbook  string   // first steps for whoever is called, Markdown-free text
	Probes   []Probe  // in the order of the definition
	Source   string   // file:line of the definition, for people
}

// Key names a probe in the whole catalog: "service/probe".
type Key struct {
	Service string
	Probe   string
}

// String returns "service/probe".
func (k Key) String() string { return k.Service + "/" + k.Probe }

// MarshalText makes the key "service/probe" in JSON.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads "service/probe".
func (k *Key) UnmarshalText(b []byte) error {
	got, err := ParseKey(string(b))
	if err != nil {
		return err
	}
	*k = got
	return nil
}

// ParseKey reads "service/probe".
func ParseKey(s string) (Key, error) {
	service, probe, ok := strings.Cut(s, "/")
	if !ok || service == "" || probe == "" || strings.Contains(probe, "/") {
		return Key{}, fmt.Errorf("probe key: want service/probe, got %q", s)
	}
	return Key{Service: service, Probe: probe}, nil
}

// Compare orders keys by service, then probe.
func (k Key) Compare(o Key) int {
	if c := strings.Compare(k.Service, o.Service); c != 0 {
		return c
	}
	return strings.Compare(k.Probe, o.Probe)
}

// Capability is something an agent must be able to do for a kind of probe.
type Capability string

// The capabilities.
const (
	CapabilityBrowser Capability = "browser"
	CapabilityIPv6    Capability = "ipv6"
	CapabilityICMP    Capability = "icmp" // may send echo requests
)

// Placement says which agents run a probe.
type Placement struct {
	Count  int               // how many agents run each slot, at least 1
	Spread string            // label whose values the agents should differ in, e.g. "site"
	Match  map[string]string // labels an agent must carry
}

// Probe says how one aspect of a service is checked.
type Probe struct {
	Key     Key
	Name    string        // Chinese, optional
	Kind    string        // a name in the table of kinds
	Every   time.Duration // the slot interval
	Timeout time.Duration // one run ends by then, always
	From    Placement
	Quorum  int          // vantages that must agree before a slot is down
	Needs   []Capability // from the kind
	Secrets []string     // names used by ${secret:NAME}, sorted
	Prober  Prober       // performs a run; never nil in a catalog
	Source  string       // file:line of the definition
}
