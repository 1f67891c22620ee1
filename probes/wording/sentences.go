package wording

import (
	"strings"

	"github.com/gengfu/gengfu/probes"
)

// sentence is what a phrase says, as fill reads it.
type sentence struct {
	zh, en string
	where  where
}

func (s sentence) in(l Lang) string { return pair{s.zh, s.en}.in(l) }

// where says when a sentence names the step in which it came true. An HTTP
// probe's only request, a TLS probe's main handshake and the like are never worth
// naming.
type where int

const (
	inStep   where = iota // always
	onTheWay              // unless a page was opened: the sentence names its host or address
	itself                // never: the sentence says what the step was about
)

// step is the step that s names; empty for none.
func (s sentence) step(l Lang, name string) string {
	op, _, _ := strings.Cut(name, " ")
	if parts(name) {
		return Step(l, name)
	}
	if name == stepRequest || name == stepHandshake || name == stepConnect || name == stepPing || s.where == itself || s.where == onTheWay && op == string(probes.OpOpen) {
		return ""
	}
	return Step(l, name)
}

// sentences are the texts of the phrases. One sentence says it all; no data
// stands in it that the reader would not need at night.
var sentences = map[probes.Phrase]sentence{
	"":                 {"{class}[：应为 {want}][；实际 {got}]", "{class}[: want {want}][; got {got}]", inStep},
	probes.PhraseCheck: {"{class}：要求 {want}，实际 {got}", "{class}: want {want}, got {got}", inStep},

	probes.PhraseNoSuchHost:     {"域名 {want} 不存在", "there is no host {want}", onTheWay},
	probes.PhraseDNSTimeout:     {"解析域名 {want} 超时（{got:span}）", "looking up {want} timed out ({got:span})", onTheWay},
	probes.PhraseDNSFailed:      {"域名 {want} 解析失败（{got}）", "{want} was not resolved ({got})", onTheWay},
	probes.PhraseRefused:        {"{want} 拒绝连接", "{want} refused the connection", onTheWay},
	probes.PhraseUnreachable:    {"到 {want} 的网络不通", "{want} cannot be reached", onTheWay},
	probes.PhraseConnectTimeout: {"连接 {want} 超时（{got:span}）", "connecting to {want} timed out ({got:span})", onTheWay},
	probes.PhraseConnectFailed:  {"连接 {want} 失败（{got}）", "{want} was not connected ({got})", onTheWay},
	probes.PhraseTLSTimeout:     {"与 {want} 加密握手超时（{got:span}）", "the TLS handshake with {want} timed out ({got:span})", onTheWay},
	probes.PhraseTLSFailed:      {"与 {want} 加密握手失败（{got}）", "the TLS handshake with {want} failed ({got})", onTheWay},
	probes.PhraseNotTLS:         {"{want} 的端口上不是 HTTPS", "{want} does not speak HTTPS on this port", onTheWay},
	probes.PhraseCertExpired:    {"{want} 的证书已于 {got:time} 过期", "the certificate of {want} expired on {got:time}", onTheWay},
	probes.PhraseCertEarly:      {"{want} 的证书要到 {got:time} 才生效", "the certificate of {want} is not valid before {got:time}", onTheWay},
	probes.PhraseCertDate:       {"{want} 的证书已过期或尚未生效", "the certificate of {want} has expired or is not yet valid", onTheWay},
	probes.PhraseCertName:       {"{want} 的证书是发给别的名称的（{got}）", "the certificate of {want} is for other names ({got})", onTheWay},
	probes.PhraseCertUntrusted:  {"{want} 的证书不受信任（{got}）", "the certificate of {want} is not trusted ({got})", onTheWay},
	probes.PhraseCertChain:      {"{want} 的证书无法验证：签发者不受信任（{got}），也没有发送中间证书", "the certificate of {want} cannot be verified: its issuer is not trusted ({got}) and no intermediate was sent", onTheWay},
	probes.PhraseCertInvalid:    {"{want} 的证书无效（{got}）", "the certificate of {want} is not valid ({got})", onTheWay},
	probes.PhraseReset:          {"{want} 重置了连接", "{want} reset the connection", onTheWay},
	probes.PhraseClosed:         {"{want} 没有应答就断开了连接", "{want} closed the connection without an answer", onTheWay},
	probes.PhraseCut:            {"{want} 的应答没有传完就断开了", "{want} broke off in the middle of its answer", onTheWay},
	probes.PhraseReplyTimeout:   {"{got:span}内没有收到 {want} 的应答", "no answer from {want} within {got:span}", onTheWay},
	probes.PhraseBodyTimeout:    {"{got:span}内没有收完 {want} 的应答", "the answer from {want} was not complete within {got:span}", onTheWay},
	probes.PhraseNotHTTP:        {"{want} 的应答不是 HTTP（{got}）", "{want} does not answer in HTTP ({got})", onTheWay},
	probes.PhraseNetwork:        {"与 {want} 的连接出错（{got}）", "the connection to {want} failed ({got})", onTheWay},
	probes.PhraseProxyRefused:   {"代理 {want} 没有接通（{got}）", "the proxy {want} did not connect ({got})", onTheWay},

	probes.PhraseCertSelfSigned:  {"{want} 的证书是自签名的，没有机构担保", "the certificate of {want} is self-signed", onTheWay},
	probes.PhraseCertNoNames:     {"{want} 的证书没有列出适用的域名[（只有旧式名称 {got}）]，浏览器不接受", "the certificate of {want} lists no names[, only the old form {got}], which browsers refuse", onTheWay},
	probes.PhraseCertWeakKey:     {"证书「{want}」的密钥太弱（{got}）", "the key of the certificate {want} is weak ({got})", itself},
	probes.PhraseCertWeakSigned:  {"证书「{want}」的签名算法已不安全（{got}），浏览器不接受", "the certificate {want} is signed by {got}, which browsers refuse", itself},
	probes.PhraseCertRevoked:     {"{want} 的证书已于 {got:time} 被吊销", "the certificate of {want} was revoked on {got:time}", onTheWay},
	probes.PhraseIssuerExpired:   {"上级证书「{want}」已于 {got:time} 过期", "the issuing certificate {want} expired on {got:time}", itself},
	probes.PhraseIssuerEarly:     {"上级证书「{want}」要到 {got:time} 才生效", "the issuing certificate {want} is not valid before {got:time}", itself},
	probes.PhraseChainAIA:        {"证书链不完整，靠 AIA 补齐：服务器没有发送中间证书「{want}」（补自 {got}），部分客户端会打不开", "the chain is incomplete and was repaired by AIA: the server did not send {want} (fetched from {got}); some clients will fail", itself},
	probes.PhraseChainMissing:    {"证书链不完整：缺少签发者证书「{want}」，服务器没有发送，信任的根证书中也没有[，从 {got} 也取不到]", "the chain is incomplete: the issuer's certificate {want} was not sent and is no trusted root[, nor is it to be had from {got}]", itself},
	probes.PhraseTLSVersion:      {"{want} 以上才算安全，服务器只支持 {got}", "the server speaks {got} at most, want {want} or later", itself},
	probes.PhraseTLSOldAccepted:  {"服务器仍接受已淘汰的加密协议 {got}（应为 {want} 以上）", "the server still accepts {got}, want {want} or later", itself},
	probes.PhraseTLSCipher:       {"加密套件不够安全（{got}）", "the cipher suite is weak ({got})", itself},
	probes.PhraseTLSWeakAccepted: {"服务器仍接受不安全的加密套件（{got}）", "the server still accepts a weak cipher suite ({got})", itself},
	probes.PhraseTLSClientCert:   {"{want} 要求访问者出示客户端证书，握手没有完成", "{want} asks its visitors for a certificate, so the handshake did not complete", onTheWay},
	probes.PhraseOCSPStale:       {"{want} 附带的证书状态证明（OCSP）已于 {got:time} 过期", "the OCSP answer stapled by {want} was good until {got:time} only", itself},
	probes.PhraseOCSPInvalid:     {"{want} 附带的证书状态证明（OCSP）无效（{got}）", "the OCSP answer stapled by {want} is not valid ({got})", itself},
	probes.PhraseOCSPUnknown:     {"签发机构不认识 {want} 的证书（OCSP）", "the authority does not know the certificate of {want} (OCSP)", itself},
	probes.PhraseOCSPMissing:     {"{want} 的证书要求附带状态证明（OCSP），服务器没有附带", "the certificate of {want} demands a stapled OCSP answer, and none came", itself},
	probes.PhraseTLCPMissing:     {"{want} 不支持国密协议 TLCP（{got}）", "{want} does not speak TLCP ({got})", itself},
	probes.PhraseTLCPFound:       {"{want} 支持国密协议 TLCP（{got}），与要求不符", "{want} speaks TLCP ({got}), which it should not", itself},
	probes.PhraseTLCPOnly:        {"{want} 只支持国密协议 TLCP（{got}），普通浏览器打不开", "{want} speaks TLCP only ({got}), which common browsers do not", itself},
	probes.PhraseTLCPBroken:      {"{want} 的国密证书无法读取（{got}）", "the TLCP certificates of {want} cannot be read ({got})", itself},
	probes.PhraseTLCPSingle:      {"{want} 的国密证书不成对：应有签名、加密两张，只有「{got}」", "{want} sent one TLCP certificate ({got}), want one to sign and one to encrypt", itself},
	probes.PhraseTLCPName:        {"{want} 的国密证书是发给别的名称的（{got}）", "the TLCP certificate of {want} is for other names ({got})", itself},
	probes.PhraseTLCPSignUsage:   {"国密签名证书「{want}」不能用于签名[（用途：{got}）]", "the TLCP signing certificate {want} may not sign[ (usages: {got})]", itself},
	probes.PhraseTLCPCryptUsage:  {"国密加密证书「{want}」不能用于加密[（用途：{got}）]", "the TLCP encryption certificate {want} may not encrypt[ (usages: {got})]", itself},
	probes.PhraseTLCPSignExpired: {"{want} 的国密签名证书已于 {got:time} 过期", "the TLCP signing certificate of {want} expired on {got:time}", itself},
	probes.PhraseTLCPSignEarly:   {"{want} 的国密签名证书要到 {got:time} 才生效", "the TLCP signing certificate of {want} is not valid before {got:time}", itself},
	probes.PhraseTLCPCryptExpire: {"{want} 的国密加密证书已于 {got:time} 过期", "the TLCP encryption certificate of {want} expired on {got:time}", itself},
	probes.PhraseTLCPCryptEarly:  {"{want} 的国密加密证书要到 {got:time} 才生效", "the TLCP encryption certificate of {want} is not valid before {got:time}", itself},
	probes.PhraseTLCPUntrusted:   {"{want} 的国密证书不受信任（{got}）", "the TLCP certificate of {want} is not trusted ({got})", itself},

	probes.PhraseStatus:          {"返回 HTTP {got}[（要求 {want}）]", "HTTP {got}[ (want {want})]", inStep},
	probes.PhraseCharset:         {"编码不符：声明为 {want}，实际不是[，可能是 {got}]", "wrong charset: declared as {want}, which it is not[, perhaps {got}]", inStep},
	probes.PhraseCompression:     {"应答使用了不支持的压缩方式 {got}", "the answer is compressed as {got}, which nobody asked for", inStep},
	probes.PhraseCompressed:      {"应答的压缩数据损坏（{got}）", "the answer's compressed data is damaged ({got})", inStep},
	probes.PhraseRedirects:       {"跳转超过 {want} 次，下一处是 {got}", "more than {want} redirects, the next to {got}", inStep},
	probes.PhraseRedirectEndless: {"{want} 的跳转没有尽头", "the redirects of {want} do not end", onTheWay},
	probes.PhraseRedirectLoop:    {"跳转成环，又回到 {got}", "the redirects lead back to {got}", inStep},
	probes.PhraseRedirectPlain:   {"从 HTTPS 跳转到了不加密的 {got}", "a redirect from HTTPS to {got}, which is not encrypted", inStep},
	probes.PhraseRedirectSecret:  {"跳转会把请求中的密钥带到别处，未跟随：{got}", "a redirect was not followed, as it would carry the request's secrets to {got}", inStep},
	probes.PhraseRedirectBody:    {"跳转会把请求内容再发到别处，未跟随：{got}", "a redirect was not followed, as it would send the request's body to {got}", inStep},
	probes.PhraseRedirectInside:  {"跳转 {want} 指向内部地址 {got}，未跟随", "a redirect to {want} was not followed: it leads to the inside, {got}", inStep},
	probes.PhraseProtocol:        {"应使用 {want}，实际使用 {got}", "want {want}, got {got}", inStep},
	probes.PhraseHeadLong:        {"应答头超过 {want} 字节", "the answer's head is longer than {want} bytes", inStep},
	probes.PhraseNotFound:        {"应答中没有找到 {want}[，实际是：{got}]", "{want} was not found in the answer[, which is: {got}]", inStep},
	probes.PhraseSchema:          {"应答不符合约定的 JSON 结构：{want}（{got}）", "the answer does not follow its JSON schema: {want} ({got})", inStep},
	probes.PhraseChanged:         {"内容与登记的不一致，可能被篡改：登记 {want}，实际 {got}", "the content is not the one that was registered: want {want}, got {got}", inStep},
	probes.PhraseFamilies:        {"IPv4 与 IPv6 的应答不同：{want}；{got}", "the answers over IPv4 and IPv6 differ: {want}; {got}", inStep},
	probes.PhraseRedirectBad:     {"跳转地址无效：{got}", "a redirect to no valid address: {got}", inStep},
	probes.PhraseHTMLNotJSON:     {"应返回 JSON，返回的却是网页[《{got}》]", "a web page[ 《{got}》] in place of JSON", inStep},
	probes.PhraseJSONEmpty:       {"应返回 JSON，应答却是空的", "an empty answer in place of JSON", inStep},
	probes.PhraseJSONBroken:      {"应返回 JSON，返回的却是：{got}", "no JSON, but: {got}", inStep},
	probes.PhraseJSONMore:        {"JSON 之后还有多余的内容：{got}", "more after the JSON: {got}", inStep},
	probes.PhraseJSONLong:        {"应答超过 {want} 字节（max_body），读不到完整的 JSON", "the answer is longer than {want} bytes (max_body), too long to be read as JSON", inStep},
	probes.PhraseBusiness:        {"接口返回 {got}（正常为 {want}）", "the interface says {got} (good: {want})", inStep},
	probes.PhraseBusinessMissing: {"接口应答中没有业务码 {want}[，只有：{got}]", "the interface's answer has no code {want}[, but: {got}]", inStep},

	probes.PhraseNoAddress:    {"域名 {want} 没有 {got} 地址", "{want} has no {got} address", onTheWay},
	probes.PhraseReplyLong:    {"应答超过 {got} 字节，仍没有出现 {want}", "{want} did not come within {got} bytes of the answer", inStep},
	probes.PhraseDNSNoName:    {"域名服务器 {got} 说 {want} 不存在", "name server {got} says that {want} does not exist", itself},
	probes.PhraseDNSNoRecord:  {"域名服务器 {got} 上没有 {want} 这条记录", "name server {got} has no record {want}", itself},
	probes.PhraseDNSServFail:  {"域名服务器 {got} 出错，没能解析 {want}", "name server {got} failed to look {want} up", itself},
	probes.PhraseDNSRefused:   {"域名服务器 {got} 拒绝解析 {want}", "name server {got} refused to look {want} up", itself},
	probes.PhraseDNSCode:      {"解析 {want} 出错：域名服务器返回 {got}", "looking {want} up failed: {got}", itself},
	probes.PhraseDNSBroken:    {"域名服务器 {want} 的应答无法读取（{got}）", "the answer of name server {want} cannot be read ({got})", itself},
	probes.PhraseDNSForged:    {"域名服务器 {want} 的应答与查询对不上，可能是伪造的（{got}）", "the answer of name server {want} does not belong to the query ({got}) and may be forged", itself},
	probes.PhraseDNSExact:     {"解析结果应为 {want}，实际为 {got}", "want the answers {want}, got {got}", inStep},
	probes.PhraseDNSMissing:   {"解析结果缺少 {want}，实际为 {got}", "the answers lack {want}, got {got}", inStep},
	probes.PhraseDNSOutside:   {"解析结果 {got} 不在允许的范围内（{want}）", "the answers {got} are not among {want}", inStep},
	probes.PhraseDNSDisagree:  {"各域名服务器的解析结果不一致：{want}；{got}", "the name servers do not agree: {want}; {got}", itself},
	probes.PhraseNotWebSocket: {"{want} 的 WebSocket 握手不合规（{got}）", "the WebSocket handshake of {want} is not valid ({got})", onTheWay},
	probes.PhraseSocketClosed: {"{want} 提前关闭了连接（{got}）", "{want} closed the connection early ({got})", inStep},
	probes.PhraseSocketCode:   {"连接应以代码 {want} 关闭，实际为 {got}", "want the connection closed with {want}, got {got}", itself},
	probes.PhraseMessageLong:  {"{want} 发来的消息超过 {got} 字节", "{want} sent a message of more than {got} bytes", inStep},
	probes.PhrasePingSilent:   {"{want} 不回应 Ping（发出 {got} 次，全部丢失）", "{want} answers no ping ({got} sent, all lost)", itself},
	probes.PhrasePingLoss:     {"到 {want} 丢包过多（{got}）", "too many pings to {want} are lost ({got})", itself},

	probes.PhraseElementMissing:  {"页面上没有 {want:name}[，当前页面：{got}]", "there is no {want:name} on the page[: {got}]", inStep},
	probes.PhraseElementHidden:   {"{want:name} 没有显示出来[，当前页面：{got}]", "{want:name} is hidden on the page[: {got}]", inStep},
	probes.PhraseElementShown:    {"页面上不应有 {want:name}[，当前页面：{got}]", "{want:name} should not be on the page[: {got}]", itself},
	probes.PhraseElementDisabled: {"{want:name} 是灰的，不能操作", "{want:name} is disabled", inStep},
	probes.PhraseElementReadOnly: {"{want:name} 是只读的，不能填写", "{want:name} is read-only", inStep},
	probes.PhraseElementMoving:   {"{want:name} 一直在移动，无法点按", "{want:name} does not stand still", inStep},
	probes.PhraseElementOutside:  {"{want:name} 在屏幕之外，无法点按", "{want:name} is outside the window", inStep},
	probes.PhraseElementCovered:  {"{want:name} 被 {got} 挡住，无法点按", "{want:name} is covered by {got}", inStep},
	probes.PhraseNotAField:       {"{want:name} 不是输入框，而是 {got}", "{want:name} is no field but {got}", inStep},
	probes.PhraseFieldType:       {"{want:name} 是 {got} 类型的控件，不能填写", "{want:name} is of type {got}, which takes no text", inStep},
	probes.PhraseNotAList:        {"{want:name} 不是下拉框，而是 {got}", "{want:name} is no list but {got}", inStep},
	probes.PhraseNoChoice:        {"下拉框里没有「{want}」[，只有：{got}]", "the list has no choice {want}[, but: {got}]", inStep},
	probes.PhraseFieldReplaced:   {"{want:name} 在填写时被页面换掉了", "{want:name} was replaced while it was filled", inStep},
	probes.PhraseFieldEmpty:      {"{want:name} 填写后仍是空的", "{want:name} stays empty", inStep},
	probes.PhraseTextMissing:     {"页面上没有「{want}」[，当前页面：{got}]", `the page does not show "{want}"[: {got}]`, itself},
	probes.PhraseTextShown:       {"页面上不应有「{want}」[，当前页面：{got}]", `the page should not show "{want}"[: {got}]`, itself},
	probes.PhraseAddress:         {"没有到达含 {want} 的地址[，停在 {got}]", "no address with {want} was reached[, only {got}]", itself},
	probes.PhraseScriptNo:        {"脚本的结果是 {got}", "the script says {got}", inStep},
	probes.PhraseScriptThrew:     {"脚本出错：{got}", "the script failed: {got}", inStep},
	probes.PhraseScriptEndless:   {"脚本没有执行完", "the script does not end", inStep},
	probes.PhraseSilent:          {"页面没有反应：脚本一直在忙，或者没有加载完", "the page does not react: its script is busy, or it never loaded", inStep},
	probes.PhraseDialogs:         {"页面不停地弹出对话框：{got}", "the page opens dialogs without end: {got}", inStep},
	probes.PhraseReloads:         {"页面不停地跳转，停在 {got}", "the page leads on without end, now to {got}", onTheWay},
	probes.PhraseAppLink:         {"跳转到了 APP（{got}），不是网页", "it leads to an app ({got}), not to a page", inStep},
	probes.PhraseDownload:        {"{want} 返回的是下载文件或空内容，不是网页", "{want} sent a download or nothing, not a page", onTheWay},

	probes.PhraseBlank:           {"页面空白，什么都没有显示", "blank page: there is nothing to see", itself},
	probes.PhraseBlankAfterError: {"页面空白：脚本出错 {got}", "blank page after a script error: {got}", itself},
	probes.PhraseScriptErrors:    {"页面脚本出错：{got}", "script error: {got}", itself},
	probes.PhraseGarbled:         {"页面是乱码：按 {want} 读取，{got} 个字符不可读", "unreadable page: read as {want}, {got} characters make no sense", itself},
	probes.PhrasePending:         {"请求 {want} 等了 {got:span}没有应答", "no answer to {want} for {got:span}", inStep},
	probes.PhraseResource:        {"页面资源加载失败：{want}（{got}）", "part of the page failed to load: {want} ({got})", itself},
	probes.PhraseMaintenance:     {"页面显示系统维护[：{got}]", "maintenance page[: {got}]", itself},
	probes.PhraseLogin:           {"跳到了登录页，没有看到要看的页面[：{got}]", "a login page came instead of the page[: {got}]", itself},
	probes.PhraseOwnPage:         {"页面符合规则「{want}」[：{got}]", "the page is what rule {want} describes[: {got}]", itself},
	probes.PhraseSoft404:         {"页面不存在（却返回 200）[：{got}]", "page does not exist, although HTTP says 200[: {got}]", itself},
	probes.PhraseWechatOnly:      {"只能在微信客户端中打开[：{got}]", "only opens in WeChat[: {got}]", itself},
	probes.PhraseWAF:             {"被防火墙拦截[：{got}]", "blocked by a firewall[: {got}]", itself},
	probes.PhraseWAF405:          {"被防火墙拦截（HTTP 405）[：{got}]", "blocked by a firewall (HTTP 405)[: {got}]", itself},
	probes.PhraseCaptcha:         {"出现验证码或人机校验[：{got}]", "captcha or challenge in place of the page[: {got}]", itself},
	probes.PhraseScriptCheck:     {"防火墙要求先通过脚本校验（HTTP {want}）", "a firewall asks for a script to be run first (HTTP {want})", itself},

	probes.PhraseBusy:          {"探针繁忙：{got} 个拨测名额一直占满", "the agent was busy: all {got} places stayed taken", itself},
	probes.PhraseBusyBrowser:   {"探针繁忙：{got} 个浏览器拨测名额一直占满", "the agent was busy: all {got} places for browsers stayed taken", itself},
	probes.PhraseOverran:       {"{want} 拨测超时 {got:span}后仍未停下，结果作废", "the {want} probe still ran {got:span} after its timeout", itself},
	probes.PhrasePanicked:      {"拨测程序崩溃（{got}）", "the probe crashed ({got})", itself},
	probes.PhraseStopped:       {"探针正在停止，拨测没有做完（{got}）", "the agent was stopped before the probe ended ({got})", itself},
	probes.PhraseContradiction: {"拨测结果自相矛盾（{got}）", "the probe contradicted itself ({got})", itself},
	probes.PhraseLineDown:      {"探针自己断网：基准地址 {got} 都没有应答", "the agent's own line is down: none of {got} answers", itself},
	probes.PhraseNoSecret:      {"探针上没有设置密钥 {want}", "the secret {want} is not set on the agent", itself},
	probes.PhraseNoBrowser:     {"探针上没有浏览器[，安装：{got}]", "the agent has no browser[; install one with: {got}]", itself},
	probes.PhraseBrowser:       {"探针的浏览器异常（{got}）", "the agent's browser is unwell ({got})", itself},
	probes.PhraseStalled:       {"探针进程停顿了 {got:span}，结果作废", "the agent's process stood still for {got:span}", itself},
	probes.PhraseNoIPv6:        {"探针所在的网络没有 IPv6 （{got}）", "the agent has no IPv6 ({got})", itself},
	probes.PhraseNoPing:        {"探针主机不允许发 Ping，放开的办法：{got}", "the agent's host allows no ping; to allow it: {got}", itself},
	probes.PhraseProxy:         {"代理 {want} 异常（{got}）", "the proxy {want} is unwell ({got})", itself},
	probes.PhraseCouldNotLook:  {"探针未能执行拨测（{got}）", "the agent could not look ({got})", itself},
}
