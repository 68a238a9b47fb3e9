// Keep the key of a form while the person goes back to it: a form that is sent again from the same
// page counts once. The browser may load the page anew on the way back, with another key in it.
"use strict";
(() => {
    const keys = [...document.querySelectorAll('input[name="Idempotency-Key"]')];
    // The tab for JSON sends its text only, by jQuery: there the key goes into the header.
    let sent = null;
    document.addEventListener("submit", (event) => {
        sent = event.target.querySelector('input[name="Idempotency-Key"]');
    }, { capture: true });
    document.addEventListener("DOMContentLoaded", () => {
        jQuery(document).on("ajaxSend", (_event, request) => {
            if (sent) request.setRequestHeader("Idempotency-Key", sent.value);
        });
    });
    const kept = history.state?.keys;
    if (kept) keys.forEach((input, n) => { input.value = kept[n] ?? input.value; });
    else history.replaceState({ ...history.state, keys: keys.map((input) => input.value) }, "");
})();
