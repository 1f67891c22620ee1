'use strict';
(function () {
  var grid = document.getElementById('calendar'), start = new Date();
  for (var i = 1; i <= 28; i++) {
    var day = new Date(start.getFullYear(), start.getMonth(), start.getDate() + i), weekend = day.getDay() % 6 === 0;
    var cell = grid.appendChild(document.createElement('button'));
    cell.type = 'button';
    cell.textContent = (day.getMonth() + 1) + '/' + day.getDate();
    cell.disabled = weekend;
    cell.className = weekend ? 'full' : 'free';
    cell.addEventListener('click', function () { document.getElementById('chosen').textContent = '已选择 ' + this.textContent + '，可预约'; });
  }
})();
