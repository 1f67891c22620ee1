// Runs in an isolated world of every document of a probed page: it sees the
// page's DOM, and the page's scripts can neither see nor break it.
(() => {
  'use strict';
  if (globalThis.gengfu) return;

  const maxText = 65536;
  const squeeze = s => (s || '').replace(/[\s\u00a0\u200b\u3000\ufeff]+/g, '');
  const cut = (s, n) => s.length > n ? s.slice(0, n) : s;

  // The document and its frames of the same origin, each with its offset.
  const documents = () => {
    const out = [{ doc: document, x: 0, y: 0 }];
    for (let i = 0; i < out.length && out.length < 20; i++) {
      for (const f of out[i].doc.querySelectorAll('iframe,frame')) {
        let d = null;
        try { d = f.contentDocument; } catch { /* another origin */ }
        if (!d || !d.documentElement || !visible(f)) continue;
        const r = f.getBoundingClientRect();
        out.push({ doc: d, x: out[i].x + r.left + f.clientLeft, y: out[i].y + r.top + f.clientTop });
        if (out.length >= 20) break;
      }
    }
    return out;
  };

  // Documents and the open shadow roots inside them.
  const roots = () => {
    const out = documents().map(d => ({ root: d.doc, x: d.x, y: d.y }));
    for (let i = 0; i < out.length && out.length < 200; i++) {
      for (const el of out[i].root.querySelectorAll('*')) {
        if (el.shadowRoot) out.push({ root: el.shadowRoot, x: out[i].x, y: out[i].y });
      }
    }
    return out;
  };

  const visible = el => {
    if (!el.isConnected) return false;
    if (!el.checkVisibility({ visibilityProperty: true, checkVisibilityCSS: true })) return false;
    const r = el.getBoundingClientRect();
    return r.width > 0 && r.height > 0;
  };

  const bodyText = () => {
    let s = '';
    for (const { root } of roots()) {
      if (s.length > maxText) break;
      if (root.body) s += root.body.innerText + '\n';
      else for (const el of root.children || []) s += (el.innerText || '') + '\n';
    }
    return cut(s, maxText);
  };

  // What a person reads beside running text: buttons, read-only fields, hints.
  const fieldText = () => {
    let s = '';
    for (const { root } of roots()) {
      for (const el of root.querySelectorAll('input,textarea')) {
        if (el.type === 'password' || el.type === 'hidden' || secrets.has(el) || !visible(el)) continue;
        if (/^(button|submit|reset)$/.test(el.type) || el.readOnly || el.disabled) s += el.value + '\n';
        else if (!el.value) s += (el.placeholder || '') + '\n';
      }
    }
    return s;
  };

  const skipped = /^(SCRIPT|STYLE|NOSCRIPT|TEMPLATE|HEAD|OPTION)$/i;

  // The deepest elements whose text holds want, those that equal it first.
  const byText = want => {
    want = squeeze(want);
    const exact = [], part = [];
    const sort = (el, text) => { (text === want ? exact : part).push(el); };
    const walk = el => {
      let below = false;
      for (const c of el.children) {
        if (!skipped.test(c.tagName) && squeeze(c.textContent).includes(want)) { walk(c); below = true; }
      }
      if (!below && el.tagName) sort(el, squeeze(el.textContent));
    };
    for (const { root } of roots()) {
      const top = root.body || root;
      if (squeeze(top.textContent).includes(want)) walk(top);
      for (const el of root.querySelectorAll('input[type=button],input[type=submit],input[type=reset]')) {
        const v = squeeze(el.value || (el.type === 'submit' ? '提交' : ''));
        if (v.includes(want)) sort(el, v);
      }
      for (const el of root.querySelectorAll('[aria-label],img[alt]')) {
        const v = squeeze(el.getAttribute('aria-label') || el.alt);
        if (v === want) exact.push(el);
      }
    }
    return [...exact, ...part];
  };

  const fields = 'input:not([type=hidden]),select,textarea,[contenteditable=true]';

  const byLabel = want => {
    const clean = s => squeeze(s).replace(/[:：*＊]/g, '');
    want = clean(want);
    const exact = [], part = [];
    const sort = (el, text) => {
      if (!el || !text) return;
      if (text === want) exact.push(el); else if (text.includes(want)) part.push(el);
    };
    for (const { root } of roots()) {
      for (const l of root.querySelectorAll('label')) {
        sort(l.control || l.querySelector(fields), clean(l.textContent));
      }
      for (const el of root.querySelectorAll(fields)) {
        for (const name of ['aria-label', 'placeholder', 'title']) sort(el, clean(el.getAttribute(name)));
        for (const id of (el.getAttribute('aria-labelledby') || '').split(/\s+/)) {
          if (id && root.getElementById(id)) sort(el, clean(root.getElementById(id).textContent));
        }
      }
    }
    if (exact.length || part.length) return [...exact, ...part];
    // Old forms have no labels: the field that shares the nearest row with the words.
    for (const word of byText(want)) {
      let row = word;
      for (let i = 0; i < 3 && row.parentElement; i++) {
        row = row.parentElement;
        const f = row.querySelector(fields);
        if (f) return [f];
      }
    }
    return [];
  };

  const roles = {
    button: 'button,input[type=button],input[type=submit],input[type=reset],input[type=image],[role=button]',
    link: 'a[href],[role=link]',
    textbox: 'input:not([type]),input[type=text],input[type=tel],input[type=number],input[type=search],input[type=email],input[type=password],textarea,[role=textbox]',
    checkbox: 'input[type=checkbox],[role=checkbox]',
    radio: 'input[type=radio],[role=radio]',
    combobox: 'select,[role=combobox]',
    heading: 'h1,h2,h3,h4,h5,h6,[role=heading]',
    img: 'img,[role=img]',
  };

  const nameOf = el => squeeze(el.getAttribute('aria-label') || el.textContent ||
    (/^(button|submit|reset)$/.test(el.type || '') ? el.value : '') ||
    el.getAttribute('title') || el.alt ||
    (el.labels && el.labels[0] ? el.labels[0].textContent : '') || el.placeholder);

  const byRole = spec => {
    const i = spec.indexOf(':');
    const role = i < 0 ? spec : spec.slice(0, i);
    const want = i < 0 ? '' : squeeze(spec.slice(i + 1));
    const exact = [], part = [];
    for (const { root } of roots()) {
      for (const el of root.querySelectorAll(roles[role] || `[role="${CSS.escape(role)}"]`)) {
        const n = nameOf(el);
        if (n === want || !want) exact.push(el); else if (n.includes(want)) part.push(el);
      }
    }
    return [...exact, ...part];
  };

  const resolve = sel => {
    const m = /^(text|label|role|css)=([\s\S]*)$/.exec(sel);
    if (m && m[1] === 'text') return byText(m[2]);
    if (m && m[1] === 'label') return byLabel(m[2]);
    if (m && m[1] === 'role') return byRole(m[2]);
    return roots().flatMap(({ root }) => [...root.querySelectorAll(m ? m[2] : sel)]);
  };

  const describe = el => {
    let s = el.tagName.toLowerCase();
    if (el.id) s += '#' + el.id;
    else if (typeof el.className === 'string' && el.className.trim()) s += '.' + el.className.trim().split(/\s+/)[0];
    return cut(s, 60);
  };

  const inside = (el, ancestor) => {
    for (let n = el; n; n = n.parentNode || n.host) if (n === ancestor) return true;
    return false;
  };

  const offset = el => {
    for (const d of documents()) if (d.doc === el.ownerDocument) return d;
    return { x: 0, y: 0 };
  };

  let before = null; // the last target's place, to see that it stands still

  // Finds what sel names and says why it cannot be used yet (see whys in
  // action.go), and by what if there is more to say. need is
  // "visible", "edit" (and enabled), "tap" (and uncovered, at rest).
  const find = (sel, need) => {
    const all = resolve(sel);
    if (!all.length) return { why: 'missing' };
    const el = all.find(visible);
    if (!el) return { why: 'hidden' };
    if (need === 'visible') return { ok: true, el };
    if (el.matches(':disabled') || el.getAttribute('aria-disabled') === 'true') return { why: 'disabled' };
    if (need === 'edit') return el.readOnly ? { why: 'read-only' } : { ok: true, el };
    el.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });
    const r = [...el.getClientRects()].find(r => r.width > 0 && r.height > 0) || el.getBoundingClientRect();
    const x = r.left + r.width / 2, y = r.top + r.height / 2;
    const at = `${x},${y}`;
    const still = before && before.el === el && before.at === at;
    before = { el, at };
    if (!still) return { why: 'moving', soon: true };
    const hit = el.getRootNode().elementFromPoint(x, y);
    if (!hit) return { why: 'outside' };
    const label = hit.closest('label');
    if (!inside(hit, el) && !inside(el, hit) && !(label && label.control === el)) return { why: 'covered', by: describe(hit) };
    const o = offset(el), v = globalThis.visualViewport;
    return { ok: true, el, x: x + o.x - (v ? v.offsetLeft : 0), y: y + o.y - (v ? v.offsetTop : 0) };
  };

  const secrets = new Set();
  let chosen = null;
  const tell = (el, ...names) => { for (const n of names) el.dispatchEvent(new Event(n, { bubbles: true })); };

  const needs = {
    see: want => ({ ok: squeeze(bodyText() + fieldText()).includes(squeeze(want)) }),
    not_see: want => ({ ok: !squeeze(bodyText() + fieldText()).includes(squeeze(want)) }),
    visible: sel => ({ ok: !!find(sel, 'visible').ok, why: find(sel, 'visible').why }),
    not_visible: sel => ({ ok: !find(sel, 'visible').ok }),
    tap: sel => {
      const f = find(sel, 'tap');
      delete f.el;
      return f;
    },
    // Puts the cursor into a field with all of it selected; mode says how the
    // value gets in: typed, or set because the field takes no typing.
    edit: (sel, secret) => {
      const f = find(sel, 'edit');
      if (!f.ok) return f;
      const el = f.el;
      if (!/^(INPUT|TEXTAREA)$/i.test(el.tagName) && !el.isContentEditable) return { why: 'not a field', by: describe(el), never: true };
      if (/^(checkbox|radio|file|button|submit|reset|image)$/.test(el.type || '')) return { why: 'field type', by: el.type, never: true };
      chosen = el;
      if (secret) secrets.add(el);
      el.scrollIntoView({ block: 'center', behavior: 'instant' });
      el.focus();
      if (el.select) el.select(); else getSelection().selectAllChildren(el);
      return { ok: true, set: /^(date|time|month|week|datetime-local|color|range)$/.test(el.type || '') };
    },
    choose: (sel, value) => {
      const f = find(sel, 'edit');
      if (!f.ok) return f;
      if (!/^SELECT$/i.test(f.el.tagName)) return { why: 'not a list', by: describe(f.el), never: true };
      const opts = [...f.el.options], want = squeeze(value);
      const o = opts.find(o => o.value === value) || opts.find(o => squeeze(o.text) === want) || opts.find(o => squeeze(o.text).includes(want));
      if (!o) return { why: 'no choice', by: cut(opts.map(o => o.text.trim()).join(', '), 200) };
      o.selected = true;
      tell(f.el, 'input', 'change');
      return { ok: true };
    },
    url: part => ({ ok: location.href.includes(part) }),
  };

  const sleep = ms => new Promise(r => setTimeout(r, ms));

  // Asks until it is so or the budget (ms) is spent. The pause follows the
  // cost, so that a huge page is not kept busy by being watched.
  const wait = async (need, args, budget) => {
    const end = performance.now() + budget;
    for (;;) {
      const from = performance.now();
      const r = needs[need](...args);
      const now = performance.now();
      if (r.ok || r.never || now >= end) {
        if (!r.ok) { r.title = cut(document.title, 200); r.text = cut(bodyText().trim(), 1000); r.url = location.href; }
        return r;
      }
      await sleep(r.soon ? 30 : Math.max(60, 4 * (now - from)));
    }
  };

  // Puts value into the field that edit chose, or only announces what was typed.
  const commit = value => {
    const el = chosen;
    if (!el || !el.isConnected) return { ok: false };
    if (value !== null) {
      if (el.isContentEditable) el.textContent = value; else el.value = value;
      tell(el, 'input');
    }
    tell(el, 'change');
    return { ok: true, empty: (el.isContentEditable ? el.textContent : el.value) === '' };
  };

  let lcp = 0, cls = 0, fcp = 0, shift = { sum: 0, first: 0, last: 0 };
  const observe = (type, f) => {
    try { new PerformanceObserver(l => l.getEntries().forEach(f)).observe({ type, buffered: true }); } catch { /* not known here */ }
  };
  observe('paint', e => { if (e.name === 'first-contentful-paint') fcp = e.startTime; });
  observe('largest-contentful-paint', e => { lcp = e.startTime; });
  observe('layout-shift', e => {
    if (e.hadRecentInput) return;
    const joined = e.startTime - shift.last < 1000 && e.startTime - shift.first < 5000 && shift.sum > 0;
    shift = joined ? { sum: shift.sum + e.value, first: shift.first, last: e.startTime } : { sum: e.value, first: e.startTime, last: e.startTime };
    cls = Math.max(cls, shift.sum);
  });

  const bridge = [];
  document.addEventListener('gengfu:bridge', e => {
    if (bridge.length < 50 && typeof e.detail === 'string') bridge.push(cut(e.detail, 100));
  });

  const blank = () => {
    if (squeeze(bodyText() + fieldText()) !== '') return false;
    for (const { root } of roots()) {
      for (const el of root.querySelectorAll('img,canvas,video,svg,iframe,object,embed,input,select,textarea')) {
        if (!visible(el)) continue;
        if (/^img$/i.test(el.tagName) && !(el.complete && el.naturalWidth > 1)) continue;
        // A frame of this origin was looked into by bodyText.
        if (/^iframe$/i.test(el.tagName) && el.contentDocument) continue;
        return false;
      }
      let n = 0;
      for (const el of root.querySelectorAll('body,div,section,a,span,header')) {
        if (++n > 500) break;
        if (getComputedStyle(el).backgroundImage.includes('url(') && visible(el)) return false;
      }
    }
    return true;
  };

  const look = full => {
    const nav = performance.getEntriesByType('navigation')[0];
    const r = {
      url: location.href, title: cut(document.title, 200), charset: document.characterSet,
      fcp, lcp, cls, bridge,
      ttfb: nav ? nav.responseStart : 0, dom: nav ? nav.domContentLoadedEventEnd : 0, load: nav ? nav.loadEventEnd : 0,
    };
    if (full) { r.text = bodyText(); r.blank = blank(); }
    return r;
  };

  let cover = null;
  const unmask = () => { if (cover) cover.remove(); cover = null; };

  // Lays a cover over every filled secret, password field and secret value in
  // the text. The page's own values stay as they are.
  const mask = values => {
    unmask();
    const rects = [];
    const add = (r, o) => { if (r.width > 0 && r.height > 0) rects.push([r.left + o.x, r.top + o.y, r.width, r.height]); };
    for (const o of roots()) {
      for (const el of o.root.querySelectorAll('input,textarea,select')) {
        const holds = values.some(v => v && (el.value || '').includes(v));
        if (el.type === 'password' || secrets.has(el) || holds) add(el.getBoundingClientRect(), o);
      }
      if (!values.length) continue;
      const doc = o.root.ownerDocument || o.root;
      const walker = doc.createTreeWalker(o.root, NodeFilter.SHOW_TEXT);
      for (let n = walker.nextNode(); n; n = walker.nextNode()) {
        for (const v of values) {
          for (let i = v ? n.nodeValue.indexOf(v) : -1; i >= 0; i = n.nodeValue.indexOf(v, i + v.length)) {
            const range = doc.createRange();
            range.setStart(n, i);
            range.setEnd(n, i + v.length);
            for (const r of range.getClientRects()) add(r, o);
          }
        }
      }
    }
    if (!rects.length) return 0;
    cover = document.createElement('div');
    cover.style.cssText = 'all:initial;position:fixed;inset:0;width:100vw;height:100vh;margin:0;padding:0;border:0;' +
      'background:transparent;overflow:visible;pointer-events:none;z-index:2147483647';
    for (const [x, y, w, h] of rects) {
      const d = document.createElement('div');
      d.style.cssText = `all:initial;position:absolute;left:${x}px;top:${y}px;width:${w}px;height:${h}px;background:#555`;
      cover.append(d);
    }
    document.documentElement.append(cover);
    // The top layer is above dialogs, which no z-index reaches.
    try { cover.popover = 'manual'; cover.showPopover(); } catch { /* not an HTML document */ }
    return rects.length;
  };

  globalThis.gengfu = { wait, commit, look, mask, unmask };
})();
