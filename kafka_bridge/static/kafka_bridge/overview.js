// Refresh the tables, compute rates from two answers, and plot the lag since the page was opened.
"use strict";
(() => {
    const page = document.getElementById("overview");
    const tables = document.getElementById("overview-tables");
    const lost = document.getElementById("overview-lost");
    const canvas = document.querySelector("#overview-plot canvas");
    const COLOURS = ["#2563eb", "#dc2626", "#16a34a", "#9333ea", "#ea580c", "#0891b2", "#ca8a04", "#64748b"];
    const KEPT = 900; // answers: half an hour
    const language = document.documentElement.lang;
    const number = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
    const time = new Intl.DateTimeFormat(language, { timeStyle: "medium", hourCycle: "h23", timeZone: page.dataset.timeZone });
    const history = [JSON.parse(document.getElementById("overview-figures").textContent)];

    // Compute rates over about ten seconds: the difference to the last answer alone varies too much.
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

    // Plot into the empty chart that unfold makes when the page has loaded.
    function draw() {
        const chart = Chart.getChart(canvas);
        if (!chart) return;
        const clock = (answer) => time.format(new Date(1000 * answer.at));
        const groups = [...new Set(history.flatMap((answer) => Object.keys(answer.lag)))];
        chart.data.labels = history.map(clock);
        chart.data.datasets = groups.map((group, index) => ({
            label: group,
            data: history.map((answer) => answer.lag[group] ?? null), // unknown: a gap, not zero
            borderColor: COLOURS[index % COLOURS.length],
            backgroundColor: COLOURS[index % COLOURS.length],
            displayYAxis: true,
            maxTicksXLimit: 6,
        }));
        chart.options.plugins.legend.display = true;
        chart.options.scales.y.beginAtZero = true;
        chart.update("none");
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
            lost.textContent = page.dataset.lostMessage;
            lost.classList.remove("hidden");
        }
    }

    async function loop() {
        await refresh();
        setTimeout(loop, Number(page.dataset.refreshMs));
    }

    window.addEventListener("load", draw);
    setTimeout(loop, Number(page.dataset.refreshMs));
})();
