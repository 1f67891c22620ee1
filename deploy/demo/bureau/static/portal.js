'use strict';
(function () {
  var today = document.querySelector('[data-today]');
  if (today) today.textContent = new Date().toLocaleDateString('zh-CN', { year: 'numeric', month: 'long', day: 'numeric', weekday: 'long', timeZone: 'Asia/Shanghai' });
})();
