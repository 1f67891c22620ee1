'use strict';
// In the APP the native bridge says who is logged in; elsewhere everybody is a guest.
(function () {
  var greeting = document.getElementById('greeting');
  function greet(user) { greeting.textContent = user && user.name ? '您好，' + user.name : '您好，请登录后办理业务'; }
  var bridge = window.NativeBridge;
  if (!bridge || typeof bridge.getUserInfo !== 'function') { greet(null); return; }
  Promise.resolve(bridge.getUserInfo()).then(function (user) { greet(typeof user === 'string' ? JSON.parse(user) : user); }, function () { greet(null); });
})();
