// Stands in for the bridge of the WeChat client. jweixin waits for it: without
// it neither wx.ready nor wx.error is ever called.
(() => {
  'use strict';
  if (window !== window.top || window.WeixinJSBridge) return;
  const told = name => document.dispatchEvent(new CustomEvent('gengfu:bridge', { detail: String(name) }));
  const handlers = {};
  window.WeixinJSBridge = {
    invoke(name, args, callback) {
      told(name);
      if (typeof callback !== 'function') return;
      const ok = name === 'preVerifyJSAPI' ? 'pre_verify_jsapi:ok' : name + ':ok';
      setTimeout(() => callback({ err_msg: ok }), 0);
    },
    call(name) { told(name); },
    on(name, handler) { handlers[name] = handler; },
    log() {},
  };
  const ready = () => document.dispatchEvent(new Event('WeixinJSBridgeReady'));
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', ready, { once: true });
  else setTimeout(ready, 0);
})();
