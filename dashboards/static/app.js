// Live refresh and clocks. The pages work without this file.
(() => {
  'use strict';

  const english = document.documentElement.lang === 'en';
  const main = document.getElementById('main');
  const badge = document.getElementById('live');

  // ---- clocks: relative times and countdowns follow the server's clock ----

  let skew = 0; // milliseconds the server is ahead of this machine
  const learnSkew = () => {
    const at = Date.parse(main.dataset.now);
    if (!Number.isNaN(at)) skew = at - Date.now();
  };
  const now = () => Date.now() + skew;

  const ago = (ms) => {
    const past = ms >= 0;
    const s = Math.floor(Math.abs(ms) / 1000);
    if (s < 5) return english ? 'just now' : '刚刚';
    const [n, zh, en] = s < 60 ? [s, '秒', 's'] : s < 3600 ? [s / 60, '分钟', 'min'] : s < 86400 ? [s / 3600, '小时', 'h'] : [s / 86400, '天', 'd'];
    const k = Math.floor(n);
    if (english) return past ? `${k} ${en} ago` : `in ${k} ${en}`;
    return `${k}${zh}${past ? '前' : '后'}`;
  };

  const length = (ms) => {
    const s = Math.floor(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
    if (english) return h > 0 ? `${h}h${m % 60}m${s % 60}s` : m > 0 ? `${m}m${s % 60}s` : `${s}s`;
    if (d > 0) return `${d}天${h % 24}小时`;
    if (h > 0) return `${h}小时${m % 60}分`;
    if (m > 0) return s % 60 ? `${m}分${s % 60}秒` : `${m}分`;
    return `${s}秒`;
  };

  const until = (ms) => {
    if (english) return ms >= 0 ? `${length(ms)} left` : `${length(-ms)} over`;
    return ms >= 0 ? `剩余 ${length(ms)}` : `已超时 ${length(-ms)}`;
  };

  const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  const tick = () => {
    const at = now();
    for (const t of main.querySelectorAll('time[data-ago]')) put(t, ago(at - Date.parse(t.dateTime)));
    for (const t of main.querySelectorAll('time[data-until]')) put(t, until(Date.parse(t.dateTime) - at));
  };

  // ---- morph: make one tree like another and leave what is the same alone,
  // so that scroll, focus, open folds and half-typed text stay ----

  const keyOf = (n) => n.nodeType === Node.ELEMENT_NODE ? (n.id || n.getAttribute('data-key') || '') : '';
  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

  const morph = (a, b) => {
    if (a.nodeType !== Node.ELEMENT_NODE) {
      if (a.data !== b.data) a.data = b.data;
      return;
    }
    if (a.isEqualNode(b)) return;
    // A form in use belongs to its user until it is sent.
    if (a.nodeName === 'FORM' && a.contains(document.activeElement) && a.action === b.action) return;
    const turned = a.dataset.verdict && b.dataset.verdict && a.dataset.verdict !== b.dataset.verdict;
    for (const { name } of [...a.attributes]) {
      if (!b.hasAttribute(name) && !(name === 'open' && a.nodeName === 'DETAILS')) a.removeAttribute(name);
    }
    for (const { name, value } of b.attributes) {
      if (a.getAttribute(name) !== value) a.setAttribute(name, value);
    }
    if (turned) {
      a.classList.add('turned');
      a.addEventListener('animationend', () => a.classList.remove('turned'), { once: true });
    }
    morphChildren(a, b);
  };

  const morphChildren = (a, b) => {
    const keyed = new Map();
    for (const n of a.children) if (keyOf(n)) keyed.set(keyOf(n), n);
    let cur = a.firstChild;
    for (const want of [...b.childNodes]) {
      const key = keyOf(want);
      let have = key ? keyed.get(key) : cur;
      if (have && !key && keyOf(have)) have = null;
      if (have && alike(have, want)) {
        if (have === cur) cur = cur.nextSibling;
        else a.insertBefore(have, cur);
        morph(have, want);
      } else {
        a.insertBefore(document.importNode(want, true), cur);
      }
    }
    while (cur) {
      const next = cur.nextSibling;
      cur.remove();
      cur = next;
    }
  };

  const swap = (doc) => {
    const fresh = doc.getElementById('main');
    if (!fresh) return;
    const focused = document.activeElement;
    const scrolls = [...main.querySelectorAll('.scroll')].map((n) => [n, n.scrollLeft, n.scrollTop]);
    const x = window.scrollX, y = window.scrollY;
    for (const { name, value } of fresh.attributes) main.setAttribute(name, value);
    for (const { name } of [...main.attributes]) if (!fresh.hasAttribute(name)) main.removeAttribute(name);
    morphChildren(main, fresh);
    document.title = doc.title;
    const asof = document.querySelector('.foot .asof'), freshAsof = doc.querySelector('.foot .asof');
    if (asof && freshAsof) morphChildren(asof, freshAsof);
    const lang = document.querySelector('.top .lang'), freshLang = doc.querySelector('.top .lang');
    if (lang && freshLang) lang.setAttribute('href', freshLang.getAttribute('href'));
    for (const [n, left, top] of scrolls) if (n.isConnected) { n.scrollLeft = left; n.scrollTop = top; }
    window.scrollTo(x, y);
    if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    learnSkew();
    tick();
  };

  // load fetches a page of ours and swaps it in. It returns the address to show.
  let turn = 0; // a slow old answer must not replace a newer one
  const load = async (url, init) => {
    const mine = ++turn;
    const reply = await fetch(url, { cache: 'no-store', ...init });
    const html = await reply.text();
    const at = init && !reply.redirected ? location.href : reply.url;
    if (mine !== turn) return at;
    if (!reply.ok && !init) throw new Error(`status ${reply.status}`);
    swap(new DOMParser().parseFromString(html, 'text/html'));
    return at;
  };

  // ---- live refresh ----

  const gap = 2000; // at most one refresh in this time
  const idle = 30000; // and one in this time even when nothing happened: silence is news too
  let last = Date.now(), timer = 0, busy = false, dirty = false;

  const refresh = async () => {
    timer = 0;
    if (document.hidden || busy) { dirty = true; return; }
    busy = true;
    dirty = false;
    last = Date.now();
    try {
      await load(location.href);
    } catch {
      dirty = true;
    } finally {
      busy = false;
    }
  };
  const soon = () => { if (!timer) timer = setTimeout(refresh, Math.max(300, gap - (Date.now() - last))); };

  const show = (state) => {
    if (!badge) return;
    badge.hidden = false;
    badge.dataset.state = state;
    badge.lastElementChild.textContent = badge.getAttribute(`data-say-${state}`);
  };

  const concerns = (kind, raw) => {
    if (!(main.dataset.live || '').split(' ').includes(kind)) return false;
    if (!main.dataset.service) return true;
    try {
      const e = JSON.parse(raw);
      return !e.service || e.service === main.dataset.service;
    } catch {
      return true;
    }
  };

  let source = null, wait = 1000, missed = false;
  const connect = () => {
    source = new EventSource('/api/v1/events');
    source.onopen = () => {
      wait = 1000;
      show('on');
      if (missed) soon();
      missed = false;
    };
    source.onerror = () => {
      missed = true;
      show('off');
      // A browser retries a cut stream by itself, but not one that was refused.
      if (source.readyState === EventSource.CLOSED) {
        setTimeout(connect, wait);
        wait = Math.min(wait * 2, 30000);
      }
    };
    for (const kind of ['slot', 'incident', 'catalog', 'agents']) {
      source.addEventListener(kind, (e) => { if (concerns(kind, e.data)) soon(); });
    }
    // Events were dropped on the way: any of them may have concerned this page.
    source.addEventListener('all', () => { if (main.dataset.live) soon(); });
  };

  // ---- soft links and forms: the same answers, without losing one's place ----

  const focusField = () => {
    const field = main.querySelector('[autofocus]');
    if (!field) return;
    field.focus({ preventScroll: true });
    field.select();
    const cell = main.querySelector('.editing');
    if (cell) cell.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  };

  document.addEventListener('click', async (e) => {
    const a = e.target.closest && e.target.closest('a[data-soft]');
    if (!a || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
    e.preventDefault();
    try {
      const href = a.href;
      await load(href);
      history.replaceState(null, '', href.split('#')[0]);
      focusField();
    } catch {
      location.href = a.href;
    }
  });

  document.addEventListener('submit', async (e) => {
    const form = e.target.closest('form[data-soft]');
    if (!form || form.method !== 'post') return;
    e.preventDefault();
    const button = form.querySelector('button[type=submit]');
    if (button) button.disabled = true;
    const body = new URLSearchParams(new FormData(form));
    if (document.activeElement && form.contains(document.activeElement)) document.activeElement.blur();
    try {
      const at = await load(form.action, { method: 'POST', body });
      form.reset();
      history.replaceState(null, '', at);
      focusField();
    } catch {
      // Nothing came back: what was typed stays, and the lamp says why.
      show('off');
    } finally {
      if (button) button.disabled = false;
    }
  });

  learnSkew();
  tick();
  focusField();
  setInterval(tick, 1000);
  if (main.dataset.live) {
    setInterval(() => { if (Date.now() - last >= idle) soon(); }, 5000);
  }
  document.addEventListener('visibilitychange', () => { if (!document.hidden && dirty) soon(); });
  show('wait');
  connect();
})();
