package bureau

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Fault is the name of a way to be unwell.
type Fault string

// The faults.
const (
	FaultError500    Fault = "error500"
	FaultHang        Fault = "hang"
	FaultSlow        Fault = "slow"
	FaultMaintenance Fault = "maintenance"
	FaultGBK         Fault = "gbk"
	FaultBizCode     Fault = "bizcode"
	FaultBlank       Fault = "blank"
	FaultExpiredCert Fault = "expired_cert"
	FaultUnreachable Fault = "unreachable"
	FaultSoft404     Fault = "soft404"
	FaultWAF405      Fault = "waf405"
)

// kind is what people read about a fault, and the services it makes sense for.
type kind struct {
	name   Fault
	label  string
	fits   func(Service) bool
	unless string // why it does not fit
}

func all(Service) bool         { return true }
func onPage(s Service) bool    { return s.Format == FormatPage || s.Format == FormatRedirect }
func encoded(s Service) bool   { return s.Format == FormatPage || s.Format == FormatXML }
func enveloped(s Service) bool { return s.Format == FormatJSON || s.Format == FormatXML }
func secured(s Service) bool   { return s.TLS }

var kinds = []kind{
	{FaultError500, "返回 500 错误", all, ""},
	{FaultHang, "一直不响应", all, ""},
	{FaultSlow, "响应缓慢", all, ""},
	{FaultMaintenance, "显示「系统维护中」", all, ""},
	{FaultGBK, "编码与声明不符", encoded, "跳转和 JSON 没有可以标错的编码"},
	{FaultBizCode, "返回业务错误码", enveloped, "网页和节点没有业务返回码，只有市平台接口有"},
	{FaultBlank, "脚本出错，页面空白", onPage, "只有网页会空白"},
	{FaultExpiredCert, "证书过期", secured, "该服务不经 HTTPS 发布，没有证书"},
	{FaultUnreachable, "连接被中断", all, ""},
	{FaultSoft404, "页面不存在（返回 200）", onPage, "只有网页会显示「页面不存在」"},
	{FaultWAF405, "被防火墙拦截（405）", all, ""},
}

func (f Fault) kind() (kind, bool) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == f })
	if i < 0 {
		return kind{}, false
	}
	return kinds[i], true
}

// Label is the fault in Chinese.
func (f Fault) Label() string {
	k, _ := f.kind()
	return k.label
}

// FaultsOf lists the faults that make sense for a service.
func FaultsOf(s Service) []Fault {
	var out []Fault
	for _, k := range kinds {
		if k.fits(s) {
			out = append(out, k.name)
		}
	}
	return out
}

// ErrNoService says that there is no such service.
var ErrNoService = errors.New("没有这个服务")

// Switch is the fault of one service.
type Switch struct {
	Service string `json:"service"` // id
	Fault   Fault  `json:"fault"`   // empty when all is well
	Site    string `json:"site"`    // address of the only site that sees it; empty for all
}

// Switches say which service is unwell, and how. They are safe for concurrent use.
type Switches struct {
	addrs []string

	mu      sync.Mutex
	on      map[string]Switch // by service id
	changed chan struct{}     // closed at the next change
}

func newSwitches(addrs []string) *Switches {
	return &Switches{addrs: slices.Clone(addrs), on: map[string]Switch{}, changed: make(chan struct{})}
}

// next is closed when a switch changes.
func (s *Switches) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// tell wakes those who wait for a change. The caller holds the lock.
func (s *Switches) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Set switches a fault on in place of any other of this service. The site is an
// address or its number from 1; "" means every site. Errors are in Chinese.
func (s *Switches) Set(service string, fault Fault, site string) (Switch, error) {
	found, ok := named(service)
	if !ok {
		return Switch{}, fmt.Errorf("%w：%s", ErrNoService, service)
	}
	k, ok := fault.kind()
	if !ok {
		return Switch{}, fmt.Errorf("没有名为「%s」的故障；可用：%s", fault, join(FaultsOf(found)))
	}
	if !k.fits(found) {
		return Switch{}, fmt.Errorf("故障「%s」不适用于 %s %s：%s；可用：%s", k.label, found.Code, found.Name, k.unless, join(FaultsOf(found)))
	}
	addr, err := s.site(site)
	if err != nil {
		return Switch{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on[found.ID()] = Switch{Service: found.ID(), Fault: fault, Site: addr}
	s.tell()
	return s.on[found.ID()], nil
}

func (s *Switches) site(site string) (string, error) {
	if site == "" || slices.Contains(s.addrs, site) {
		return site, nil
	}
	if n, err := strconv.Atoi(site); err == nil && n >= 1 && n <= len(s.addrs) {
		return s.addrs[n-1], nil
	}
	return "", fmt.Errorf("没有站点「%s」；可用：1 至 %d，或 %s", site, len(s.addrs), strings.Join(s.addrs, "、"))
}

// Clear makes a service well.
func (s *Switches) Clear(service string) error {
	found, ok := named(service)
	if !ok {
		return fmt.Errorf("%w：%s", ErrNoService, service)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.on, found.ID())
	s.tell()
	return nil
}

// ClearAll makes every service well.
func (s *Switches) ClearAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.on)
	s.tell()
}

// Get returns a service's switch.
func (s *Switches) Get(service string) (Switch, error) {
	found, ok := named(service)
	if !ok {
		return Switch{}, fmt.Errorf("%w：%s", ErrNoService, service)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sw, on := s.on[found.ID()]; on {
		return sw, nil
	}
	return Switch{Service: found.ID()}, nil
}

// seen returns the fault of a service as a site sees it; empty for none.
func (s *Switches) seen(service Service, site string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	sw := s.on[service.ID()]
	if sw.Site != "" && sw.Site != site {
		return ""
	}
	return sw.Fault
}

func join(faults []Fault) string {
	var out []string
	for _, f := range faults {
		out = append(out, string(f))
	}
	return strings.Join(out, "、")
}
