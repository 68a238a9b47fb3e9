// Mend what django-unfold and Django's admin leave out for keyboards and screen readers (WCAG 2.2 AA).
//
// It stands in one script because half of it concerns elements that other scripts make (SimpleBar, the boxes with
// two lists), and because overriding the dozen templates concerned would copy them whole. What each part mends is
// found by axe-core or by the keyboard in tests/mamochi_site/desk: delete a part once the library does without it.
"use strict";
(() => {
    const ICONS = { // what an icon that stands alone does
        dock_to_right: "Menú", close: "Cerrar el menú", filter_list: "Filtros", more_horiz: "Acciones", search: "Buscar",
        visibility: "Mostrar la clave", visibility_off: "Mostrar la clave", chevron_right: "Abrir", unfold_more: "Abrir",
        arrow_back: "Volver", delete: "Eliminar", local_cafe: "Inicio", more_vert: "Editar, agregar o ver",
        light_mode: "Claro u oscuro", dark_mode: "Claro u oscuro", computer: "Claro u oscuro",
    };
    const hidden = (text) => {
        const span = document.createElement("span");
        span.className = "solo-lector";
        span.textContent = text;
        return span;
    };
    const wordsOf = (element) => {
        const copy = element.cloneNode(true);
        copy.querySelectorAll(".material-symbols-outlined").forEach((icon) => icon.remove());
        return copy.classList.contains("material-symbols-outlined") ? "" : copy.textContent.trim();
    };

    // unfold's pages have no main landmark, and no way past the menu.
    const addLandmarks = () => {
        const main = document.getElementById("main") ?? document.getElementById("page");
        if (!main) return;
        main.setAttribute("role", "main");
        main.tabIndex = -1;
        document.getElementById("nav-sidebar-inner")?.setAttribute("aria-label", "Menú");
        const skip = document.createElement("a");
        skip.className = "saltar";
        skip.href = `#${main.id}`;
        skip.textContent = "Ir al contenido";
        if (main.id === "main") document.body.prepend(skip);
        // The small menus that open are no landmarks: several of them would have no name.
        document.querySelectorAll("nav.absolute").forEach((nav) => nav.setAttribute("role", "group"));
    };

    // unfold lets spans and divs react to clicks: a keyboard does not reach them.
    const makeButtons = () => {
        document.querySelectorAll("[x-on\\:click]").forEach((element) => {
            if (element.matches("button, input, a[href]:not([href='#'])")) return;
            if (element.id === "changelist-filter-close") return; // the shade behind an open drawer
            if (!element.matches("a[href]")) element.tabIndex = 0;
            element.setAttribute("role", "button");
            element.addEventListener("keydown", (event) => {
                if (event.target !== element || !["Enter", " "].includes(event.key)) return;
                event.preventDefault();
                element.click();
            });
        });
    };

    // An icon is a word in a font of icons: it is hidden, or stands for what its button does.
    const nameIcons = (root) => {
        root.querySelectorAll(".material-symbols-outlined").forEach((icon) => {
            const owner = icon.closest("a, button, [role=button]");
            const name = icon.textContent.trim().split(/\s+/).map((word) => ICONS[word]).find(Boolean);
            if (owner && name && !wordsOf(owner) && !owner.hasAttribute("aria-label")) {
                owner.setAttribute("aria-label", name);
            }
            if (owner !== icon) icon.setAttribute("aria-hidden", "true");
        });
    };

    // Boxes in the rows of a table have only the heading of their column.
    const nameBoxes = () => {
        document.querySelectorAll("td input:not([type=hidden]), td select, td textarea").forEach((box) => {
            if (box.labels?.length || box.hasAttribute("aria-label")) return;
            const cell = box.closest("td");
            const heading = cell.closest("table").tHead?.rows[0]?.cells[cell.cellIndex];
            const text = heading?.textContent.trim();
            if (text) box.setAttribute("aria-label", text);
        });
        document.querySelectorAll("th").forEach((heading) => {
            const text = heading.classList.contains("action-checkbox-column") ? "Elegir" : "Acciones";
            if (!heading.textContent.trim()) heading.append(hidden(text));
        });
    };

    // What other scripts make on load: SimpleBar's scrolled boxes, all with the same English name, and Django's
    // boxes with two lists.
    const mendLate = () => {
        document.querySelectorAll(".simplebar-content-wrapper").forEach((box) => {
            box.removeAttribute("role");
            box.removeAttribute("aria-label");
            // A keyboard scrolls to the links and buttons inside.
            if (box.querySelector("a, button")) {
                box.removeAttribute("tabindex");
            } else if (box.hasAttribute("tabindex")) {
                box.setAttribute("role", "group");
                box.setAttribute("aria-label", "Contenido");
            }
        });
        document.querySelectorAll(".search-label-icon").forEach((icon) => icon.setAttribute("role", "img"));
        nameIcons(document);
        document.documentElement.dataset.accessible = ""; // for tests: all of this is done
    };

    document.addEventListener("DOMContentLoaded", () => {
        addLandmarks();
        makeButtons();
        nameIcons(document);
        nameBoxes();
    });
    window.addEventListener("load", () => setTimeout(mendLate));
})();
