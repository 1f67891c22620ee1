// Runs in every document before the page's own scripts. A run watches one page,
// so what would open a window opens in the page itself, as in WeChat's webview.
(() => {
  'use strict';
  window.open = function (url) {
    if (url) location.href = url;
    return window;
  };
  document.addEventListener('click', e => {
    const a = e.target instanceof Element ? e.target.closest('a[target],area[target]') : null;
    if (a && a.target !== '_self' && a.target !== '_parent' && a.target !== '_top' && !window.frames[a.target]) a.target = '_self';
  }, true);
  document.addEventListener('submit', e => {
    const f = e.target;
    if (f instanceof HTMLFormElement && f.target === '_blank') f.target = '_self';
  }, true);
})();
