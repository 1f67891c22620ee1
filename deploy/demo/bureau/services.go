package bureau

import (
	"net"
	"slices"
	"strings"

	"github.com/gengfu/gengfu/probes"
)

// The hosts of the bureau.
const (
	hostPortal    = "www.rsj.example"
	hostWechat    = "mp.rsj.example"
	hostApp       = "app.rsj.example"
	hostPlatform  = "zwfw.example"
	hostNode1     = "node1.rsj.example"
	hostNode2     = "node2.rsj.example"
	hostSSO       = "sso.rsj.example"
	hostAuthorise = "open.weixin.example"
)

// Format is what a service answers with: some faults make sense for one only.
type Format string

// The formats.
const (
	FormatPage     Format = "page"     // HTML
	FormatRedirect Format = "redirect" // to a page elsewhere
	FormatJSON     Format = "json"
	FormatXML      Format = "xml"
	FormatText     Format = "text"
)

// Service is one published service of the bureau.
type Service struct {
	Code    string // "PT-01"
	Name    string
	Channel probes.Channel
	Host    string
	Path    string // its own, and all below it
	TLS     bool   // its published address is HTTPS
	Format  Format
	serve   func(*Bureau, visit) answer
}

// ID is the code in lower case: the id of the definitions.
func (s Service) ID() string { return strings.ToLower(s.Code) }

var services = []Service{
	{"PT-01", "门户首页", probes.ChannelPortal, hostPortal, "/", false, FormatPage, page("公共服务平台")},
	{"PT-02", "个人办事大厅", probes.ChannelPortal, hostPortal, "/grbs/", false, FormatPage, page("个人办事大厅")},
	{"PT-03", "法人办事大厅", probes.ChannelPortal, hostPortal, "/frbs/", false, FormatPage, page("法人办事大厅")},
	{"PT-04", "统一登录入口", probes.ChannelPortal, hostPortal, "/login", true, FormatRedirect, login},
	{"PT-05", "社会保险个人权益记录查询", probes.ChannelPortal, hostPortal, "/si/qyjl", false, FormatPage, entitlement},
	{"PT-06", "失业登记", probes.ChannelPortal, hostPortal, "/jy/sydj", false, FormatPage, page("失业登记")},
	{"PT-07", "职称评审申报", probes.ChannelPortal, hostPortal, "/rc/zcps", false, FormatPage, titles},
	{"PT-08", "工作居住证办理", probes.ChannelPortal, hostPortal, "/rc/gzjzz", false, FormatPage, oldPage("工作居住证办理")},
	{"PT-09", "人才引进申报", probes.ChannelPortal, hostPortal, "/rc/rcyj", false, FormatPage, page("人才引进申报")},
	{"PT-10", "劳动人事争议仲裁申请", probes.ChannelPortal, hostPortal, "/ld/zcsq", false, FormatPage, page("劳动人事争议仲裁申请")},

	{"WX-01", "社保查询", probes.ChannelWechat, hostWechat, "/h5/sbcx", false, FormatPage, signedPage("社保查询")},
	{"WX-02", "养老金测算", probes.ChannelWechat, hostWechat, "/h5/yljcs", false, FormatPage, page("养老金测算")},
	{"WX-03", "社保卡进度查询", probes.ChannelWechat, hostWechat, "/h5/sbkjd", false, FormatPage, page("社保卡进度查询")},
	{"WX-04", "就业失业登记指南", probes.ChannelWechat, hostWechat, "/h5/jysy", false, FormatPage, page("就业失业登记指南")},
	{"WX-05", "技能提升补贴", probes.ChannelWechat, hostWechat, "/h5/jnbt", false, FormatRedirect, subsidy},
	{"WX-06", "岗位招聘", probes.ChannelWechat, hostWechat, "/h5/zhaopin", false, FormatPage, page("岗位招聘")},
	{"WX-07", "旧版稳岗返还", probes.ChannelWechat, hostWechat, "/h5/wgfh", false, FormatPage, gone},

	{"APP-01", "APP首页服务列表", probes.ChannelApp, hostApp, "/app/home", false, FormatPage, page("服务")},
	{"APP-02", "参保缴费明细", probes.ChannelApp, hostApp, "/app/cbjf", true, FormatPage, page("参保缴费明细")},
	{"APP-03", "失业金申领进度", probes.ChannelApp, hostApp, "/app/syj", false, FormatPage, page("失业金申领进度")},
	{"APP-04", "电子社保卡", probes.ChannelApp, hostApp, "/app/dzsbk", false, FormatPage, page("电子社保卡")},
	{"APP-05", "劳动能力鉴定预约", probes.ChannelApp, hostApp, "/app/ldjd", false, FormatPage, page("劳动能力鉴定预约")},
	{"APP-06", "长辈版", probes.ChannelApp, hostApp, "/app/elder", false, FormatPage, page("长辈版")},

	{"API-01", "统一受理接口", probes.ChannelPlatform, hostPlatform, "/gateway/accept/v2", false, FormatJSON, accept},
	{"API-02", "办件状态反馈", probes.ChannelPlatform, hostPlatform, "/gateway/feedback/v2", false, FormatXML, feedback},
	{"API-03", "事项清单同步", probes.ChannelPlatform, hostPlatform, "/gateway/items", false, FormatJSON, items},
	{"API-04", "数据共享-婚姻信息", probes.ChannelPlatform, hostPlatform, "/share/marriage", false, FormatJSON, marriage},
	{"API-05", "好差评回传", probes.ChannelPlatform, hostPlatform, "/gateway/evaluate", true, FormatJSON, evaluate},

	{"ND-01", "业务节点 node1", probes.ChannelRuntime, hostNode1, "/health", false, FormatText, health},
	{"ND-02", "业务节点 node2", probes.ChannelRuntime, hostNode2, "/health", false, FormatText, health},
	{"MW-01", "Tomcat 状态与版本", probes.ChannelRuntime, hostNode1, "/manager/status", false, FormatText, tomcat},
}

// Services lists what the bureau publishes.
func Services() []Service { return slices.Clone(services) }

// find returns the service that a request belongs to. Paths are no prefixes of
// each other but for the home page's, which stands for itself alone.
func find(host, path string) (Service, bool) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	for _, s := range services {
		if s.Host != host {
			continue
		}
		if path == s.Path || s.Path != "/" && strings.HasPrefix(path, strings.TrimSuffix(s.Path, "/")+"/") {
			return s, true
		}
	}
	return Service{}, false
}

// named finds a service by its code or id.
func named(name string) (Service, bool) {
	for _, s := range services {
		if strings.EqualFold(name, s.Code) {
			return s, true
		}
	}
	return Service{}, false
}

// hosts lists every host name, for the certificates.
func hosts() []string {
	return []string{hostPortal, hostWechat, hostApp, hostPlatform, hostNode1, hostNode2, hostSSO, hostAuthorise}
}
