// Keep the key of a form while the person goes back to it: a form that is sent again from the same
// page counts once. The browser may load the page anew on the way back, with another key in it.
"use strict";
(() => {
    const keys = [...document.querySelectorAll('input[name="Idempotency-Key"]')];
    const kept = history.state?.keys;
    if (kept) keys.forEach((input, n) => { input.value = kept[n] ?? input.value; });
    else history.replaceState({ ...history.state, keys: keys.map((input) => input.value) }, "");
})();
