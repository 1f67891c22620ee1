package bureau

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/emmansun/gmsm/sm3"
)

// maxBody bounds what a visitor may send, in bytes.
const maxBody = 64 << 10

// page serves the page named after the service.
func page(title string) func(*Bureau, visit) answer {
	return func(b *Bureau, v visit) answer { return b.html(v, v.service.ID(), title, nil) }
}

// oldPage serves a page in GBK and says so, as many an old page does.
func oldPage(title string) func(*Bureau, visit) answer {
	return func(b *Bureau, v visit) answer { return b.htmlIn(v, v.service.ID(), title, "gbk", nil) }
}

func redirect(to string) answer {
	return answer{status: http.StatusFound, header: map[string]string{"Location": to}, kind: "text/html", charset: "utf-8", body: ""}
}

// login sends people to the bureau's single sign-on.
func login(_ *Bureau, v visit) answer {
	back := v.origin(hostPortal) + "/grbs/"
	return redirect(v.origin(hostSSO) + "/auth?return=" + url.QueryEscape(back))
}

// entitlement is the page, and below it the query that its script makes.
func entitlement(b *Bureau, v visit) answer {
	if !strings.HasSuffix(v.URL.Path, "/query") {
		return b.html(v, "pt-05", v.service.Name, nil)
	}
	if v.Method != http.MethodPost {
		return asJSON(http.StatusMethodNotAllowed, map[string]any{"code": "405", "message": "请使用 POST"})
	}
	var in struct {
		IDNo string `json:"idno"`
	}
	if err := readJSON(v, &in); err != nil || len(in.IDNo) != 18 {
		return asJSON(http.StatusOK, map[string]any{"code": "1001", "message": "证件号码有误"})
	}
	return asJSON(http.StatusOK, map[string]any{"code": "0", "data": map[string]any{
		"name": "测*用户", "months": 187, "since": "2011-05",
		"kinds": []map[string]any{
			{"name": "基本养老保险", "months": 187}, {"name": "失业保险", "months": 187}, {"name": "工伤保险", "months": 182},
		},
	}})
}

// titles is the page and its attachment.
func titles(b *Bureau, v visit) answer {
	if !strings.HasSuffix(v.URL.Path, ".docx") {
		return b.html(v, "pt-07", v.service.Name, nil)
	}
	doc, err := staticFiles.ReadFile("static/zcps.docx")
	if err != nil {
		return answer{status: http.StatusInternalServerError, kind: "text/plain", charset: "utf-8", body: err.Error()}
	}
	return answer{
		kind:   "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
		header: map[string]string{"Content-Disposition": "attachment; filename*=UTF-8''" + url.PathEscape("职称评审申报表.docx")},
		body:   string(doc),
	}
}

// The demo's account with the demo's WeChat.
const (
	appID       = "wx0123456789demo00"
	jsapiTicket = "demo-jsapi-ticket"
)

// signature is what a page hands to wx.config.
type signature struct {
	AppID     string
	Timestamp int64
	Nonce     string
	Sign      string
}

// signedPage serves a page with the signature for its own address, as the
// JS-SDK demands: sha1 over ticket, nonce, time and address without fragment.
func signedPage(title string) func(*Bureau, visit) answer {
	return func(b *Bureau, v visit) answer {
		s := signature{AppID: appID, Timestamp: v.now.Unix(), Nonce: strconv.FormatInt(v.now.UnixNano(), 36)}
		address := v.origin(hostWechat) + v.URL.RequestURI()
		sum := sha1.Sum(fmt.Appendf(nil, "jsapi_ticket=%s&noncestr=%s&timestamp=%d&url=%s", jsapiTicket, s.Nonce, s.Timestamp, address))
		s.Sign = hex.EncodeToString(sum[:])
		return b.html(v, v.service.ID(), title, s)
	}
}

// subsidy sends people without a code to the authorisation, as a menu's link does.
func subsidy(b *Bureau, v visit) answer {
	if v.URL.Query().Get("code") != "" {
		return b.html(v, "wx-05", v.service.Name, nil)
	}
	q := url.Values{
		"appid": {appID}, "redirect_uri": {v.origin(hostWechat) + "/h5/jnbt"},
		"response_type": {"code"}, "scope": {"snsapi_base"}, "state": {"menu"},
	}
	return redirect(v.origin(hostAuthorise) + "/connect/oauth2/authorize?" + q.Encode() + "#wechat_redirect")
}

// authorise stands in for WeChat: it sends its own client back with a code, and
// turns every other away.
func authorise(b *Bureau, v visit) answer {
	if !strings.Contains(v.UserAgent(), "MicroMessenger") {
		return b.html(v, "authorise", "抱歉，出错了", nil)
	}
	back, err := url.Parse(v.URL.Query().Get("redirect_uri"))
	if err != nil || back.Hostname() != hostWechat {
		return answer{status: http.StatusBadRequest, kind: "text/html", charset: "utf-8", body: "redirect_uri域名与后台配置不一致，错误码：10003"}
	}
	back.RawQuery = url.Values{"code": {"demo-code"}, "state": {v.URL.Query().Get("state")}}.Encode()
	return redirect(back.String())
}

// gone is a service that is no more but whose address still says 200.
func gone(b *Bureau, v visit) answer { return b.html(v, "notfound", "页面不存在", nil) }

func asJSON(status int, v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		return answer{status: http.StatusInternalServerError, kind: "text/plain", charset: "utf-8", body: err.Error()}
	}
	return answer{status: status, kind: "application/json", charset: "utf-8", body: string(body)}
}

func readJSON(v visit, into any) error {
	if err := json.NewDecoder(io.LimitReader(v.Body, maxBody)).Decode(into); err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	return nil
}

// onlyPost answers other methods as the platform's gateway does.
func onlyPost(v visit) (answer, bool) {
	if v.Method == http.MethodPost {
		return answer{}, true
	}
	return asJSON(http.StatusMethodNotAllowed, map[string]any{"code": "9405", "msg": "请求方式不支持"}), false
}

func accept(_ *Bureau, v visit) answer {
	if a, ok := onlyPost(v); !ok {
		return a
	}
	var in struct {
		ItemCode string `json:"itemCode"`
	}
	if err := readJSON(v, &in); err != nil || in.ItemCode == "" {
		return asJSON(http.StatusOK, map[string]any{"code": "4001", "msg": "itemCode 不能为空"})
	}
	day := v.now.In(zone).Format("20060102")
	return asJSON(http.StatusOK, map[string]any{"code": "0000", "msg": "受理成功", "data": map[string]any{
		"acceptNo": "SL" + day + "000001", "itemCode": in.ItemCode, "acceptTime": v.now.In(zone).Format(time.DateTime),
	}})
}

// feedbackReply is the body of the older platform's interface.
type feedbackReply struct {
	XMLName xml.Name `xml:"response"`
	Code    string   `xml:"rtnCode"`
	Message string   `xml:"rtnMsg"`
	Time    string   `xml:"rtnTime,omitempty"`
}

func asXML(status int, r feedbackReply) answer {
	body, err := xml.Marshal(r)
	if err != nil {
		return answer{status: http.StatusInternalServerError, kind: "text/plain", charset: "utf-8", body: err.Error()}
	}
	return answer{status: status, kind: "text/xml", charset: "GBK", body: `<?xml version="1.0" encoding="GBK"?>` + string(body)}
}

func feedback(_ *Bureau, v visit) answer {
	if v.Method != http.MethodPost {
		return asXML(http.StatusMethodNotAllowed, feedbackReply{Code: "9405", Message: "请求方式不支持"})
	}
	return asXML(http.StatusOK, feedbackReply{Code: "0", Message: "办件状态已接收", Time: v.now.In(zone).Format(time.DateTime)})
}

func items(_ *Bureau, v visit) answer {
	list := []map[string]any{
		{"code": "990000-RS-001", "name": "社会保险个人权益记录查询", "type": "公共服务"},
		{"code": "990000-RS-002", "name": "失业登记", "type": "公共服务"},
		{"code": "990000-RS-003", "name": "职称评审申报", "type": "行政确认"},
		{"code": "990000-RS-004", "name": "人才引进申报", "type": "行政确认"},
	}
	return asJSON(http.StatusOK, map[string]any{"code": "0000", "msg": "成功", "data": map[string]any{
		"total": len(list), "since": v.URL.Query().Get("since"), "items": list,
	}})
}

// ShareKey is the key by which visitors sign what they ask of the shared data.
const ShareKey = "demo-share-key"

// skew is how far a signature's time may be from ours.
const skew = 5 * time.Minute

// unsigned says what is wrong with a visitor's signature: HMAC-SM3 in hex over
// method, path, time in seconds, nonce and body, a line each.
func unsigned(v visit) string {
	at, err := strconv.ParseInt(v.Header.Get("X-Timestamp"), 10, 64)
	if err != nil || v.now.Sub(time.Unix(at, 0)).Abs() > skew {
		return "时间戳无效"
	}
	body, err := io.ReadAll(io.LimitReader(v.Body, maxBody))
	if err != nil {
		return "请求不完整"
	}
	h := hmac.New(sm3.New, []byte(ShareKey))
	fmt.Fprintf(h, "%s\n%s\n%d\n%s\n%s", v.Method, v.URL.Path, at, v.Header.Get("X-Nonce"), body)
	if got, err := hex.DecodeString(v.Header.Get("X-Signature")); err != nil || !hmac.Equal(got, h.Sum(nil)) {
		return "签名不符"
	}
	return ""
}

func marriage(_ *Bureau, v visit) answer {
	if a, ok := onlyPost(v); !ok {
		return a
	}
	if why := unsigned(v); why != "" {
		return asJSON(http.StatusOK, map[string]any{"code": 401, "message": "验签失败：" + why})
	}
	return asJSON(http.StatusOK, map[string]any{"code": 200, "message": "查询成功", "data": map[string]any{"status": "未登记", "source": "测试数据"}})
}

func evaluate(_ *Bureau, v visit) answer {
	if a, ok := onlyPost(v); !ok {
		return a
	}
	return asJSON(http.StatusOK, map[string]any{"success": true, "code": "0", "message": "评价已接收"})
}

// health is a node's own word, with its name as a balancer's check reads it.
func health(_ *Bureau, v visit) answer {
	node, _, _ := strings.Cut(v.service.Host, ".")
	return answer{kind: "text/plain", charset: "utf-8", header: map[string]string{"X-Node": node}, body: "UP " + node + "\n"}
}

// tomcat is a status page of the application server as its manager prints it.
func tomcat(_ *Bureau, v visit) answer {
	busy := 20 + v.now.Second()%10
	return answer{kind: "text/xml", charset: "utf-8", header: map[string]string{"Server": "Apache Tomcat/9.0.98"}, body: fmt.Sprintf(
		`<?xml version="1.0" encoding="utf-8"?><status><jvm><memory free="312475648" total="1073741824" max="2147483648"/></jvm>`+
			`<connector name="http-nio-8080"><threadInfo maxThreads="200" currentThreadCount="48" currentThreadsBusy="%d"/>`+
			`<requestInfo maxTime="1840" processingTime="902311" requestCount="48211" errorCount="12" bytesReceived="0" bytesSent="918273645"/></connector></status>`, busy)}
}

// refusal is a business error under HTTP 200.
func refusal(s Service) answer {
	if s.Format == FormatXML {
		return asXML(http.StatusOK, feedbackReply{Code: "1001", Message: "业务系统繁忙，请稍后再试"})
	}
	body := map[string]any{"code": "1001", "msg": "业务系统繁忙，请稍后再试", "success": false}
	return asJSON(http.StatusOK, body)
}

// unwell is the page that stands in for a service's own.
func (b *Bureau) unwell(v visit, f Fault) answer {
	switch f {
	case FaultMaintenance:
		return b.html(v, "maintenance", "系统维护中", nil)
	case FaultSoft404:
		return b.html(v, "notfound", "页面不存在", nil)
	case FaultBlank:
		return b.html(v, "blank", v.service.Name, nil)
	case FaultWAF405:
		a := b.html(v, "waf", "405", strconv.FormatInt(v.now.UnixNano(), 16))
		a.status = http.StatusMethodNotAllowed
		return a
	default:
		a := b.html(v, "error", "服务器内部错误", nil)
		a.status = http.StatusInternalServerError
		return a
	}
}
