'use strict';
// Asks the service below the page and shows months by kind of insurance.
document.getElementById('query').addEventListener('submit', function (event) {
  event.preventDefault();
  var answer = document.getElementById('answer');
  var idno = document.getElementById('idno').value.trim();
  if (!/^\d{17}[\dXx]$/.test(idno)) { answer.textContent = '请输入 18 位证件号码'; return; }
  answer.textContent = '正在查询……';
  fetch('/si/qyjl/query', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ idno: idno }) })
    .then(function (res) { return res.json(); })
    .then(function (reply) {
      if (reply.code !== '0') { answer.textContent = reply.message; return; }
      var table = document.createElement('table');
      table.createCaption().textContent = reply.data.name + '　累计缴费月数：' + reply.data.months;
      var head = table.createTHead().insertRow();
      ['险种', '缴费月数'].forEach(function (t) { head.appendChild(document.createElement('th')).textContent = t; });
      var body = table.createTBody();
      reply.data.kinds.forEach(function (k) {
        var row = body.insertRow();
        row.insertCell().textContent = k.name;
        row.insertCell().textContent = k.months;
      });
      answer.replaceChildren(table);
    })
    .catch(function () { answer.textContent = '查询失败，请稍后重试'; });
});
