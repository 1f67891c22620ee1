'use strict';
document.getElementById('show').addEventListener('click', function () {
  var box = document.getElementById('code'), canvas = box.querySelector('canvas'), pen = canvas.getContext('2d');
  var n = 21, cell = canvas.width / n, seed = 20261125;
  pen.fillStyle = '#fff'; pen.fillRect(0, 0, canvas.width, canvas.height); pen.fillStyle = '#000';
  for (var y = 0; y < n; y++) for (var x = 0; x < n; x++) {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    if (seed / 2147483648 < 0.5) pen.fillRect(x * cell, y * cell, cell, cell);
  }
  box.hidden = false;
  this.hidden = true;
});
