// Refreshes the tables, works rates out from two looks, and plots the lag since the page was opened.
"use strict";
(() => {
    const page = document.getElementById("panorama");
    const tables = document.getElementById("panorama-tables");
    const lost = document.getElementById("panorama-lost");
    const plot = document.getElementById("panorama-plot");
    const legend = document.getElementById("panorama-legend");
    const COLOURS = ["#2563eb", "#dc2626", "#16a34a", "#9333ea", "#ea580c", "#0891b2", "#ca8a04", "#64748b"];
    const KEPT = 900; // looks: half an hour
    const number = new Intl.NumberFormat("es-CL", { maximumFractionDigits: 1 });
    const history = [JSON.parse(document.getElementById("panorama-figures").textContent)];

    function svg(name, attributes, text = "") {
        const element = document.createElementNS("http://www.w3.org/2000/svg", name);
        for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
        element.textContent = text;
        return element;
    }

    // Over the last ten seconds or so: one look alone jumps.
    function showRates() {
        const now = history.at(-1);
        const before = history[Math.max(0, history.length - 6)];
        const seconds = now.at - before.at;
        if (seconds <= 0) return;
        for (const [kind, counts] of [["group", "applied"], ["topic", "ends"]]) {
            for (const cell of tables.querySelectorAll(`[data-rate-${kind}]`)) {
                const name = cell.getAttribute(`data-rate-${kind}`);
                const known = name in now[counts] && name in before[counts];
                cell.textContent = known ? number.format((now[counts][name] - before[counts][name]) / seconds) : "…";
            }
        }
    }

    function draw() {
        const known = history.filter((look) => look.kafka);
        if (!known.length) return;
        const groups = Object.keys(known.at(-1).lag);
        const top = Math.max(1, ...known.flatMap((look) => Object.values(look.lag)));
        const begin = history[0].at;
        const span = Math.max(10, history.at(-1).at - begin);
        const x = (at) => 40 + (750 * (at - begin)) / span;
        const y = (lag) => 140 - (130 * lag) / top;
        plot.replaceChildren(
            svg("line", { x1: 40, x2: 790, y1: 140, y2: 140, stroke: "currentColor", opacity: 0.3 }),
            svg("text", { x: 36, y: 16, "text-anchor": "end", "font-size": 11, fill: "currentColor" }, number.format(top)),
            svg("text", { x: 36, y: 144, "text-anchor": "end", "font-size": 11, fill: "currentColor" }, "0"),
            svg("text", { x: 790, y: 156, "text-anchor": "end", "font-size": 11, fill: "currentColor" }, `${Math.round(span)} s`),
            ...groups.map((group, index) => svg("polyline", {
                points: known.filter((look) => group in look.lag).map((look) => `${x(look.at)},${y(look.lag[group])}`).join(" "),
                fill: "none", stroke: COLOURS[index % COLOURS.length], "stroke-width": 2, "data-plot": group,
            })),
        );
        legend.replaceChildren(...groups.map((group, index) => {
            const entry = document.createElement("span");
            entry.textContent = `■ ${group}`;
            entry.style.color = COLOURS[index % COLOURS.length];
            return entry;
        }));
    }

    function show({ html, ...figures }) {
        const open = [...tables.querySelectorAll("details[open]")].map((details) => details.id);
        tables.innerHTML = html;
        for (const id of open) document.getElementById(id)?.setAttribute("open", "");
        if (figures.at > history.at(-1).at) history.push(figures);
        if (history.length > KEPT) history.shift();
        showRates();
        draw();
    }

    async function refresh() {
        if (document.hidden) return;
        try {
            const answer = await fetch(page.dataset.source, { signal: AbortSignal.timeout(10_000) });
            if (!answer.ok || answer.redirected) throw new Error(`${answer.status}`);
            show(await answer.json());
            lost.classList.add("hidden");
        } catch {
            lost.textContent = "El sitio no responde: estas cifras ya no se actualizan. Si sigue así, recarga la página.";
            lost.classList.remove("hidden");
        }
    }

    async function loop() {
        await refresh();
        setTimeout(loop, Number(page.dataset.refreshMs));
    }

    draw();
    setTimeout(loop, Number(page.dataset.refreshMs));
})();
