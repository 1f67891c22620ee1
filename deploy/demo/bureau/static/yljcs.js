'use strict';
// A rough estimate: basic pension plus personal account over the months due at that age.
(function () {
  var due = { 50: 195, 55: 170, 58: 152, 60: 139, 63: 117 };
  document.getElementById('estimate').addEventListener('submit', function (event) {
    event.preventDefault();
    var age = Number(document.getElementById('age').value), months = Number(document.getElementById('months').value);
    var result = document.getElementById('result');
    if (!(age >= 50 && age <= 70) || !(months >= 180)) { result.textContent = '退休年龄应为 50 至 70 周岁，累计缴费应不少于 180 个月'; return; }
    var nearest = Object.keys(due).map(Number).filter(function (a) { return a <= age; }).pop();
    var basic = 8200 * (months / 12) / 100, own = 8200 * 0.08 * months / due[nearest];
    result.textContent = '预计月养老金：' + (basic + own).toFixed(2) + ' 元';
  });
})();
