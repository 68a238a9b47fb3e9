// What the pages gain with JavaScript; without it they work too.
// This is a file because the content security policy forbids scripts inside a page.
"use strict";
(() => {
    // Keep the key of a form while the person goes back to it: a form that is sent again from the same
    // page counts once. On the way back the browser may load the page again, with another key in it.
    const keys = [...document.querySelectorAll('input[name="Idempotency-Key"]')];
    const kept = history.state?.keys;
    if (kept) keys.forEach((input, n) => { input.value = kept[n] ?? input.value; });
    else history.replaceState({ ...history.state, keys: keys.map((input) => input.value) }, "");

    // Older browsers do not put the focus on a message.
    document.querySelector('[role="alert"][autofocus]')?.focus();

    // Without a signal the browser would replace the page, and what was typed, by its own error page.
    const told = document.createElement("p");
    told.className = "aviso mal";
    told.setAttribute("role", "alert");
    document.querySelector("main").prepend(told);
    told.hidden = true;
    document.addEventListener("submit", (event) => {
        told.hidden = navigator.onLine;
        if (navigator.onLine) {
            event.target.classList.add("enviando");
            return;
        }
        event.preventDefault();
        told.textContent = "Sin señal: no se envió. Lo que escribiste sigue aquí; tócalo de nuevo cuando vuelva la señal.";
        told.scrollIntoView({ block: "center" });
    });
    window.addEventListener("pageshow", () => {
        document.querySelectorAll("form.enviando").forEach((form) => form.classList.remove("enviando"));
    });
})();
