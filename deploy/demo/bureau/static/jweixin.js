'use strict';
// A small stand-in for WeChat's JS-SDK with its behaviour: only in the client, and
// only once the client's bridge is there, is the page told ready or error.
var wx = (function () {
  var readies = [], errors = [], state = null;
  function settle(res) {
    state = { ok: res.err_msg === 'pre_verify_jsapi:ok' || res.err_msg === 'preVerifyJSAPI:ok', errMsg: res.err_msg };
    (state.ok ? readies : errors).forEach(function (f) { f(state); });
  }
  function withBridge(f) {
    if (window.WeixinJSBridge) f();
    else document.addEventListener('WeixinJSBridgeReady', f, { once: true });
  }
  return {
    config: function (c) {
      if (!/micromessenger/i.test(navigator.userAgent)) return;
      withBridge(function () {
        window.WeixinJSBridge.invoke('preVerifyJSAPI', {
          verifyAppId: c.appId, verifyTimestamp: String(c.timestamp), verifyNonceStr: c.nonceStr, verifySignature: c.signature, verifyJsApiList: c.jsApiList
        }, settle);
      });
    },
    ready: function (f) { if (state && state.ok) f(); else readies.push(f); },
    error: function (f) { if (state && !state.ok) f(state); else errors.push(f); }
  };
})();
