// Ask before sending a form that has data-confirmar, which contains the question.
// This is a file because the content security policy forbids scripts inside a page.
"use strict";
document.addEventListener("submit", (event) => {
    const question = event.target.dataset.confirmar;
    if (!question || window.confirm(question)) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // Otherwise the browsable API's own script would send the form.
}, { capture: true });
