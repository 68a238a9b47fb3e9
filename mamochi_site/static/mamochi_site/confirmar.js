// Forms that ask before they are sent: data-confirmar holds the question. In a file: the policy runs no script in a page.
"use strict";
document.addEventListener("submit", (event) => {
    const question = event.target.dataset.confirmar;
    if (!question || window.confirm(question)) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // the browsable API would send it by itself
}, { capture: true });
