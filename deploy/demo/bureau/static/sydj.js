'use strict';
(function () {
  function show(n) {
    document.querySelectorAll('[data-step]').forEach(function (s) { s.hidden = s.dataset.step !== String(n); });
    document.querySelectorAll('.steps li').forEach(function (li, i) { if (i + 1 === n) li.setAttribute('aria-current', 'step'); else li.removeAttribute('aria-current'); });
  }
  document.getElementById('agree').addEventListener('click', function () { show(2); });
  document.getElementById('preview').addEventListener('click', function () {
    var person = document.getElementById('person'), reason = document.getElementById('reason');
    if (!person.value || !reason.value) { person.focus(); return; }
    var list = document.getElementById('summary');
    list.replaceChildren();
    [['姓名', person.value], ['失业原因', reason.selectedOptions[0].text]].forEach(function (pair) {
      list.appendChild(document.createElement('dt')).textContent = pair[0];
      list.appendChild(document.createElement('dd')).textContent = pair[1];
    });
    show(3);
  });
})();
