package bureau_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/gengfu/gengfu/deploy/demo/bureau"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var sites = []string{"127.0.2.1", "127.0.2.2", "127.0.2.3"}

const patience = 30 * time.Second

// open starts a bureau that ends with the test.
func open(t *testing.T, change ...func(*bureau.Options)) *bureau.Bureau {
	t.Helper()
	o := bureau.Options{Addrs: sites, CertDir: t.TempDir(), Delay: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&o)
	}
	b, err := bureau.New(o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(patience):
			t.Error("the bureau does not stop")
		}
	})
	return b
}

// client sees the bureau from one site and follows no redirect.
func client(t *testing.T, b *bureau.Bureau, site string) *http.Client {
	t.Helper()
	ca, err := os.ReadFile(b.CAFile())
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(ca))
	tr := &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			var d net.Dialer
			return d.DialContext(ctx, network, net.JoinHostPort(site, port))
		},
	}
	return &http.Client{Transport: tr, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// address is a service's published one.
func address(b *bureau.Bureau, s bureau.Service) string {
	if s.TLS {
		return "https://" + net.JoinHostPort(s.Host, strconv.Itoa(b.TLSPort())) + s.Path
	}
	return "http://" + net.JoinHostPort(s.Host, strconv.Itoa(b.Port())) + s.Path
}

func service(t *testing.T, code string) bureau.Service {
	t.Helper()
	for _, s := range bureau.Services() {
		if s.Code == code {
			return s
		}
	}
	t.Fatalf("no service %s", code)
	return bureau.Service{}
}

type got struct {
	status int
	header http.Header
	body   string
}

func try(c *http.Client, method, address, body string) (got, error) {
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		return got{}, err
	}
	res, err := c.Do(req)
	if err != nil {
		return got{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return got{res.StatusCode, res.Header, string(b)}, err
}

func fetch(t *testing.T, c *http.Client, address string) got {
	t.Helper()
	g, err := try(c, http.MethodGet, address, "")
	require.NoError(t, err)
	return g
}

// plain decodes GBK.
func plain(t *testing.T, s string) string {
	t.Helper()
	b, err := simplifiedchinese.GB18030.NewDecoder().String(s)
	require.NoError(t, err)
	return b
}

func TestServicesAreWellFormed(t *testing.T) {
	ids, secured := map[string]bool{}, map[string]string{}
	for _, s := range bureau.Services() {
		require.False(t, ids[s.ID()], "%s is twice in the table", s.ID())
		ids[s.ID()] = true
		require.True(t, s.Channel.Known(), s.Code)
		if s.TLS {
			// An expired certificate is chosen by host: two services of one host
			// would expire together.
			require.Empty(t, secured[s.Host], "%s and %s share a certificate", s.Code, secured[s.Host])
			secured[s.Host] = s.Code
		}
	}
	require.GreaterOrEqual(t, len(ids), 30)
}

func TestServices(t *testing.T) {
	b := open(t)
	c := client(t, b, sites[0])
	for code, want := range map[string]string{
		"PT-01": "公共服务平台", "PT-02": "个人办事", "PT-03": "法人办事", "PT-05": "证件号码", "PT-06": "办理须知",
		"PT-07": "申报须知", "PT-09": "在线申报", "PT-10": "仲裁申请", "WX-01": "查询社保", "WX-02": "开始测算", "WX-03": "制卡进度",
		"WX-04": "办理流程", "WX-06": "最新岗位", "WX-07": "页面不存在", "APP-01": "参保缴费明细", "APP-02": "养老保险", "APP-03": "办理进度",
		"APP-04": "展码", "APP-05": "选择预约日期", "APP-06": "查养老金", "API-03": `"total":4`, "ND-01": "UP node1", "ND-02": "UP node2",
		"MW-01": `maxThreads="200"`,
	} {
		t.Run(code, func(t *testing.T) {
			s := service(t, code)
			g := fetch(t, c, address(b, s))
			require.Equal(t, http.StatusOK, g.status)
			require.Contains(t, g.body, want)
			if s.Format == bureau.FormatPage {
				require.Equal(t, "text/html; charset=utf-8", g.header.Get("Content-Type"))
				require.Contains(t, g.body, `<html lang="zh-CN"`)
			}
		})
	}
}

func TestPT01_NoticesAreRecent(t *testing.T) {
	b := open(t)
	g := fetch(t, client(t, b, sites[0]), address(b, service(t, "PT-01")))
	require.Contains(t, g.body, time.Now().In(time.FixedZone("", 8*3600)).AddDate(0, 0, -1).Format("2006-01-02"))
}

func TestPT04_SendsToSignOn(t *testing.T) {
	b := open(t)
	c := client(t, b, sites[0])
	g := fetch(t, c, address(b, service(t, "PT-04")))
	require.Equal(t, http.StatusFound, g.status)
	to, err := url.Parse(g.header.Get("Location"))
	require.NoError(t, err)
	require.Equal(t, "sso.rsj.example:"+strconv.Itoa(b.TLSPort()), to.Host)
	require.Contains(t, to.Query().Get("return"), "www.rsj.example")
	require.Contains(t, fetch(t, c, to.String()).body, "统一身份认证")
}

func TestPT05_Query(t *testing.T) {
	b := open(t)
	c := client(t, b, sites[0])
	at := address(b, service(t, "PT-05")) + "/query"
	g, err := try(c, http.MethodPost, at, `{"idno": "11010119900307000X"}`)
	require.NoError(t, err)
	require.Contains(t, g.body, `"months":187`)
	g, err = try(c, http.MethodPost, at, `{"idno": "1"}`)
	require.NoError(t, err)
	require.Contains(t, g.body, "证件号码有误")
}

func TestPT07_Attachment(t *testing.T) {
	b := open(t)
	g := fetch(t, client(t, b, sites[0]), address(b, service(t, "PT-07"))+"/attachment.docx")
	require.Equal(t, "PK\x03\x04", g.body[:4])
}

func TestPT08_IsGBKAndSaysSo(t *testing.T) {
	b := open(t)
	g := fetch(t, client(t, b, sites[0]), address(b, service(t, "PT-08")))
	require.Equal(t, "text/html; charset=gbk", g.header.Get("Content-Type"))
	require.NotContains(t, g.body, "工作居住证")
	require.Contains(t, plain(t, g.body), "工作居住证办理")
	require.Contains(t, plain(t, g.body), `<meta charset="gbk">`)
}

func TestWX05_AsksForAuthorisation(t *testing.T) {
	b := open(t)
	c := client(t, b, sites[0])
	s := service(t, "WX-05")
	g := fetch(t, c, address(b, s))
	require.Equal(t, http.StatusFound, g.status)
	to := g.header.Get("Location")
	require.True(t, strings.HasPrefix(to, "http://open.weixin.example:"), to)
	require.True(t, strings.HasSuffix(to, "#wechat_redirect"), to)
	require.Contains(t, fetch(t, c, to).body, "请在微信客户端打开链接")

	req, err := http.NewRequest(http.MethodGet, to, nil)
	require.NoError(t, err)
	req.Header.Set("User-Agent", "Mozilla/5.0 MicroMessenger/8.0.49")
	res, err := c.Do(req)
	require.NoError(t, err)
	res.Body.Close()
	require.Contains(t, fetch(t, c, res.Header.Get("Location")).body, "补贴申领")
}

func TestPlatformInterfaces(t *testing.T) {
	b := open(t)
	c := client(t, b, sites[0])
	for code, want := range map[string]struct{ body, reply string }{
		"API-01": {`{"itemCode": "990000-RS-002"}`, `"code":"0000"`},
		"API-02": {`<request/>`, `<rtnCode>0</rtnCode>`},
		"API-04": {`{}`, `验签失败`}, // what is signed is in the examples
		"API-05": {`{"score": 5}`, `"success":true`},
	} {
		s := service(t, code)
		g, err := try(c, http.MethodPost, address(b, s), want.body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, g.status, code)
		require.Contains(t, g.body, want.reply, code)
		g, err = try(c, http.MethodGet, address(b, s), "")
		require.NoError(t, err)
		require.Equal(t, http.StatusMethodNotAllowed, g.status, code)
	}
	g, err := try(c, http.MethodPost, address(b, service(t, "API-02")), "")
	require.NoError(t, err)
	require.Equal(t, "text/xml; charset=GBK", g.header.Get("Content-Type"))
	require.Contains(t, plain(t, g.body), "办件状态已接收")
}

func TestUnknownPlaces(t *testing.T) {
	b := open(t)
	c := client(t, b, sites[0])
	home := address(b, service(t, "PT-01"))
	require.Equal(t, http.StatusNotFound, fetch(t, c, home+"nowhere").status)
	g := fetch(t, c, home+"static/portal.css")
	require.Equal(t, http.StatusOK, g.status)
	require.Contains(t, g.header.Get("Content-Type"), "text/css")
	require.Equal(t, http.StatusNotFound, fetch(t, c, home+"_faults").status, "the switches are on the control port only")
}

func TestFaults(t *testing.T) {
	b := open(t)
	c := client(t, b, sites[0])
	on := func(t *testing.T, code string, f bureau.Fault) {
		t.Helper()
		_, err := b.Faults().Set(code, f, "")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, b.Faults().Clear(code)) })
	}
	for name, tt := range map[string]struct {
		code   string
		fault  bureau.Fault
		status int
		want   string
	}{
		"a 500 page":          {"PT-02", bureau.FaultError500, 500, "服务器内部错误"},
		"a maintenance page":  {"WX-03", bureau.FaultMaintenance, 200, "系统维护中"},
		"a soft 404":          {"WX-04", bureau.FaultSoft404, 200, "页面不存在"},
		"a firewall's page":   {"PT-10", bureau.FaultWAF405, 405, "您的访问被阻断"},
		"a blank page":        {"WX-02", bureau.FaultBlank, 200, `<div id="app"></div>`},
		"an error code":       {"API-03", bureau.FaultBizCode, 200, `"code":"1001"`},
		"an error code (XML)": {"API-02", bureau.FaultBizCode, 200, `<rtnCode>1001</rtnCode>`},
		"slow, then right":    {"PT-03", bureau.FaultSlow, 200, "法人办事"},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, tt.code, tt.fault)
			began := time.Now()
			g := fetch(t, c, address(b, service(t, tt.code)))
			require.Equal(t, tt.status, g.status)
			require.Contains(t, g.body, tt.want)
			if tt.fault == bureau.FaultSlow {
				require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
			}
		})
	}
	t.Run("mislabelled", func(t *testing.T) {
		for code, want := range map[string]string{"PT-09": "人才引进申报", "PT-08": "工作居住证办理", "API-02": "请求方式不支持"} {
			on(t, code, bureau.FaultGBK)
			g := fetch(t, c, address(b, service(t, code)))
			require.Contains(t, g.header.Get("Content-Type"), "charset=utf-8", code)
			require.Contains(t, plain(t, g.body), want, code)
			require.NotContains(t, strings.ToLower(g.body), `"gbk"`, code)
		}
	})
	t.Run("hang", func(t *testing.T) {
		on(t, "PT-02", bureau.FaultHang)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address(b, service(t, "PT-02")), nil)
		require.NoError(t, err)
		_, err = c.Do(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	t.Run("reset, with and without TLS", func(t *testing.T) {
		for _, code := range []string{"API-03", "APP-02"} {
			on(t, code, bureau.FaultUnreachable)
			_, err := try(c, http.MethodGet, address(b, service(t, code)), "")
			require.ErrorIs(t, err, syscall.ECONNRESET, code)
		}
	})
	t.Run("an expired certificate, of one host", func(t *testing.T) {
		fetch(t, c, address(b, service(t, "PT-04")))
		on(t, "PT-04", bureau.FaultExpiredCert)
		_, err := try(c, http.MethodGet, address(b, service(t, "PT-04")), "")
		var invalid x509.CertificateInvalidError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, x509.Expired, invalid.Reason)
		require.Equal(t, http.StatusOK, fetch(t, c, address(b, service(t, "APP-02"))).status)
	})
}

// seen is a log that passes its records on.
type seen struct {
	slog.Handler
	requests chan slog.Record
}

func (s seen) Enabled(context.Context, slog.Level) bool { return true }
func (s seen) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "request" {
		s.requests <- r
	}
	return nil
}

// TestAHangEndsWithItsFault posts a body, since a server that has not read it sees
// no visitor leave.
func TestAHangEndsWithItsFault(t *testing.T) {
	log := seen{slog.DiscardHandler, make(chan slog.Record, 10)}
	b := open(t, func(o *bureau.Options) { o.Logger = slog.New(log) })
	_, err := b.Faults().Set("API-01", bureau.FaultHang, "")
	require.NoError(t, err)
	c := client(t, b, sites[0])
	done := make(chan error, 1)
	go func() {
		_, err := try(c, http.MethodPost, address(b, service(t, "API-01")), `{"area": "110000"}`)
		done <- err
	}()
	<-log.requests
	_, err = b.Faults().Set("PT-01", bureau.FaultSlow, "")
	require.NoError(t, err)
	select {
	case err := <-done:
		t.Fatalf("another service's fault ended it: %v", err)
	default:
	}
	require.NoError(t, b.Faults().Clear("API-01"))
	select {
	case err := <-done:
		require.ErrorIs(t, err, syscall.ECONNRESET)
	case <-time.After(patience):
		t.Fatal("it hangs on")
	}
}

func TestFaultFromOneSite(t *testing.T) {
	b := open(t)
	for _, site := range []string{"2", sites[1]} {
		sw, err := b.Faults().Set("wx-06", bureau.FaultUnreachable, site)
		require.NoError(t, err)
		require.Equal(t, sites[1], sw.Site)
	}
	for i, site := range sites {
		_, err := try(client(t, b, site), http.MethodGet, address(b, service(t, "WX-06")), "")
		require.Equal(t, i == 1, errors.Is(err, syscall.ECONNRESET), "%s: %v", site, err)
	}
}

// TestEveryFaultOfEveryService makes sure that no switch is without effect.
func TestEveryFaultOfEveryService(t *testing.T) {
	b := open(t, func(o *bureau.Options) { o.Delay = time.Millisecond })
	c := client(t, b, sites[0])
	for _, s := range bureau.Services() {
		method := http.MethodGet
		if s.Code == "API-01" || s.Code == "API-02" || s.Code == "API-04" || s.Code == "API-05" {
			method = http.MethodPost
		}
		for _, f := range bureau.FaultsOf(s) {
			if f == bureau.FaultHang || f == bureau.FaultSlow || s.Code == "WX-07" && f == bureau.FaultSoft404 {
				continue
			}
			well, err := try(c, method, address(b, s), "{}")
			require.NoError(t, err)
			_, err = b.Faults().Set(s.ID(), f, "")
			require.NoError(t, err)
			unwell, err := try(c, method, address(b, s), "{}")
			if err == nil {
				require.False(t, well.status == unwell.status && well.body == unwell.body &&
					well.header.Get("Content-Type") == unwell.header.Get("Content-Type"), "%s %s changes nothing", s.Code, f)
			}
			require.NoError(t, b.Faults().Clear(s.ID()))
		}
	}
}

func control(b *bureau.Bureau, path string) string { return "http://" + b.Control() + path }

func TestControlAPI(t *testing.T) {
	b := open(t)
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"switch on":               {"PUT", "/_faults/PT-01", `{"fault": "error500"}`, 200, `"service":"pt-01"`},
		"no such service":         {"PUT", "/_faults/pt-99", `{"fault": "error500"}`, 404, "没有这个服务：pt-99"},
		"no such fault":           {"PUT", "/_faults/pt-01", `{"fault": "explode"}`, 400, "没有名为「explode」的故障"},
		"business code of a page": {"PUT", "/_faults/pt-01", `{"fault": "bizcode"}`, 400, "不适用于 PT-01 门户首页：网页和节点没有业务返回码"},
		"blank interface":         {"PUT", "/_faults/api-01", `{"fault": "blank"}`, 400, "只有网页会空白"},
		"expired without HTTPS":   {"PUT", "/_faults/pt-01", `{"fault": "expired_cert"}`, 400, "没有证书"},
		"no such site":            {"PUT", "/_faults/pt-01", `{"fault": "hang", "site": "9"}`, 400, "没有站点「9」"},
		"no JSON":                 {"PUT", "/_faults/pt-01", `fault=hang`, 400, "请求应为 JSON"},
		"misspelt key":            {"PUT", "/_faults/pt-01", `{"falt": "hang"}`, 400, "falt"},
		"state of none":           {"GET", "/_faults/pt-99", "", 404, "没有这个服务"},
		"clear none":              {"DELETE", "/_faults/pt-99", "", 404, "没有这个服务"},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := try(c, tt.method, control(b, tt.path), tt.body)
			require.NoError(t, err)
			require.Equal(t, tt.status, g.status, g.body)
			require.Contains(t, g.body, tt.want)
		})
	}
	require.Contains(t, fetch(t, c, control(b, "/_faults/pt-01")).body, `"fault":"error500"`)
	require.Contains(t, fetch(t, c, control(b, "/_faults.json")).body, `"fault":"error500"`)
	g, err := try(c, http.MethodDelete, control(b, "/_faults/pt-01"), "")
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, g.status)
	require.Equal(t, "[]\n", fetch(t, c, control(b, "/_faults.json")).body)
}

func TestControlPage_WorksWithoutScript(t *testing.T) {
	b := open(t)
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	page := fetch(t, c, control(b, "/_faults"))
	require.NotContains(t, page.body, "<script")
	for _, s := range bureau.Services() {
		require.Contains(t, page.body, s.Name)
	}
	res, err := c.PostForm(control(b, "/_faults"), url.Values{"service": {"wx-02"}, "fault": {"blank"}, "site": {sites[2]}})
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Contains(t, string(body), "脚本出错，页面空白（仅 127.0.2.3）")
	require.Contains(t, string(body), "有 1 项服务处于故障状态")

	res, err = c.PostForm(control(b, "/_faults"), url.Values{"service": {"wx-02"}, "fault": {"bizcode"}})
	require.NoError(t, err)
	body, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
	require.Contains(t, string(body), "不适用于 WX-02")

	res, err = c.PostForm(control(b, "/_faults"), url.Values{})
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "[]\n", fetch(t, c, control(b, "/_faults.json")).body, "an empty form makes all well")

	req, err := http.NewRequest(http.MethodPost, control(b, "/_faults"), strings.NewReader("service=pt-01&fault=hang"))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", "https://evil.example")
	res, err = c.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusForbidden, res.StatusCode)
}

func TestAlerts(t *testing.T) {
	b := open(t)
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	require.Contains(t, fetch(t, c, control(b, "/_alerts")).body, "还没有收到告警")
	for _, body := range []string{
		`{"key": "a", "event": "incident.opened", "title": "门户首页 <b>异常</b>", "text": "第一行", "incident": {"service": "pt-01"}}`,
		`{"key": "b", "event": "incident.resolved", "title": "门户首页 恢复", "text": "第二行", "link": "http://127.0.0.1:8080/incidents/1"}`,
		`{"key": "a", "event": "incident.opened"}`,
	} {
		g, err := try(c, http.MethodPost, control(b, "/_alerts"), body)
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, g.status)
	}
	g, err := try(c, http.MethodPost, control(b, "/_alerts"), "nonsense")
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, g.status)

	var list []struct {
		Key, Event string
		Incident   struct{ Service string }
		Deliveries int
		ReceivedAt time.Time `json:"received_at"`
	}
	require.NoError(t, json.Unmarshal([]byte(fetch(t, c, control(b, "/_alerts.json")).body), &list))
	require.Len(t, list, 2)
	require.Equal(t, "b", list[0].Key)
	require.Equal(t, "pt-01", list[1].Incident.Service)
	require.Equal(t, 2, list[1].Deliveries)
	require.WithinDuration(t, time.Now(), list[1].ReceivedAt, patience)

	page := fetch(t, c, control(b, "/_alerts")).body
	require.Less(t, strings.Index(page, "门户首页 恢复"), strings.Index(page, "&lt;b&gt;异常"), "newest first, escaped")
	require.Contains(t, page, "重复送达 2 次")
}

func TestAlerts_AreBounded(t *testing.T) {
	b := open(t)
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for i := range 510 {
		g, err := try(c, http.MethodPost, control(b, "/_alerts"), `{"key": "`+strconv.Itoa(i)+`"}`)
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, g.status)
	}
	var list []struct{ Key string }
	require.NoError(t, json.Unmarshal([]byte(fetch(t, c, control(b, "/_alerts.json")).body), &list))
	require.Len(t, list, 500)
	require.Equal(t, "509", list[0].Key)
}

// TestSitesHaveNames: people know a site by its name, the API by its address.
func TestSitesHaveNames(t *testing.T) {
	b := open(t, func(o *bureau.Options) { o.Names = []string{"政务云机房", "信息中心", "公网监测点"} })
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	g, err := try(c, http.MethodPut, control(b, "/_faults/pt-01"), `{"fault": "hang", "site": "127.0.2.3"}`)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, g.status)
	page := fetch(t, c, control(b, "/_faults")).body
	require.Contains(t, page, "一直不响应（仅 公网监测点）")
	require.Contains(t, page, `<option value="127.0.2.2">仅 信息中心</option>`)
}

func TestOptions_WhatIsWrong(t *testing.T) {
	_, err := bureau.New(bureau.Options{Addrs: []string{"10.0.0.1", "127.0.2.1", "127.0.2.1"}, Names: []string{"机房"}, Delay: -1})
	for _, want := range []string{"one for each of 3 addresses, got 1", `got "10.0.0.1"`, "127.0.2.1 is given twice", "a folder for ca.pem", "delay"} {
		require.ErrorContains(t, err, want)
	}
	b := open(t)
	_, err = bureau.New(bureau.Options{Addrs: sites[:1], Port: b.Port(), CertDir: t.TempDir()})
	require.ErrorContains(t, err, "opening port "+strconv.Itoa(b.Port()))
}

func TestAuthorityOutlivesTheBureau(t *testing.T) {
	dir := t.TempDir()
	same := func(o *bureau.Options) { o.CertDir = dir }
	b := open(t, same)
	first, err := os.ReadFile(b.CAFile())
	require.NoError(t, err)
	again := open(t, same)
	second, err := os.ReadFile(again.CAFile())
	require.NoError(t, err)
	require.True(t, bytes.Equal(first, second))
	require.Equal(t, http.StatusFound, fetch(t, client(t, again, sites[0]), address(again, service(t, "PT-04"))).status)
	info, err := os.Stat(dir + "/ca-key.pem")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
