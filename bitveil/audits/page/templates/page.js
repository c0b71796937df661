"use strict";
// Tooltips, arrow keys, sorting, scales. Without this script everything is drawn and readable.
(() => {
  const all = (root, query) => [...root.querySelectorAll(query)];
  const tip = document.getElementById("tip");
  const said = document.getElementById("said");
  document.body.classList.add("live");
  for (const hidden of all(document, ".controls[hidden]")) hidden.hidden = false;

  function show(mark) {
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    const at = mark.getBoundingClientRect();
    const box = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left + at.width / 2 - box.width / 2), innerWidth - box.width - 8);
    const above = at.top - box.height - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 4 ? above : at.bottom + 8}px`;
  }
  const hide = () => { tip.hidden = true; };

  for (const plot of all(document, ".marks, .points .track")) {
    const marks = () => all(plot, ".mark").filter((mark) => mark.getClientRects().length);
    const first = marks()[0];
    if (first) first.setAttribute("tabindex", "0");
    plot.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -1e9, End: 1e9 };
      const now = marks();
      const from = now.indexOf(document.activeElement);
      if (!(event.key in steps) || from < 0) return;
      event.preventDefault();
      const to = now[Math.min(now.length - 1, Math.max(0, from + steps[event.key]))];
      now[from].setAttribute("tabindex", "-1");
      to.setAttribute("tabindex", "0");
      to.focus();
    });
  }
  for (const mark of all(document, ".mark")) {
    mark.addEventListener("pointerenter", () => show(mark));
    mark.addEventListener("pointerleave", hide);
    mark.addEventListener("focus", () => show(mark));
    mark.addEventListener("blur", hide);
    mark.addEventListener("click", () => show(mark));
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("scroll", hide, { passive: true });

  function sort(items, key) {
    const value = (item) => item.dataset[key];
    const compare = key === "code"
      ? (a, b) => value(a).localeCompare(value(b), undefined, { numeric: true })
      : (a, b) => Number(value(a)) - Number(value(b));
    const parent = items[0].parentNode;
    const after = items[items.length - 1].nextSibling;
    for (const item of [...items].sort(compare)) parent.insertBefore(item, after);
  }

  for (const figure of all(document, "figure.rows")) {
    const rows = () => all(figure, ".row:not(.axis)");
    const limit = rows().filter((row) => !row.classList.contains("more")).length;
    for (const button of all(figure, "[data-sort]")) {
      button.addEventListener("click", () => {
        sort(rows(), button.dataset.sort);
        rows().forEach((row, i) => row.classList.toggle("more", i >= limit));
        for (const other of all(figure, "[data-sort]")) other.setAttribute("aria-pressed", String(other === button));
        said.textContent = `Sorted by ${button.textContent}.`;
      });
    }
    for (const button of all(figure, "[data-more]")) {
      const closed = button.textContent;
      button.addEventListener("click", () => {
        const open = figure.classList.toggle("all");
        button.setAttribute("aria-expanded", String(open));
        button.textContent = open ? "Show fewer" : closed;
      });
    }
    for (const button of all(figure, "[data-scale]")) {
      button.addEventListener("click", () => {
        const other = figure.classList.toggle("flipped");
        const low = Number(other ? figure.dataset.otherLow : figure.dataset.low);
        const high = Number(other ? figure.dataset.otherHigh : figure.dataset.high);
        const at = (value) => `${100 * Math.min(1, Math.max(0, (Number(value) - low) / (high - low)))}%`;
        for (const dot of all(figure, "[data-v]")) dot.setAttribute("x", at(dot.dataset.v));
        for (const line of all(figure, "[data-v1]")) {
          line.setAttribute("x1", at(line.dataset.v1));
          line.setAttribute("x2", at(line.dataset.v2));
        }
        button.setAttribute("aria-pressed", String(other));
        hide();
      });
    }
  }

  for (const table of all(document, "table.sortable")) {
    for (const button of all(table, "[data-sort]")) {
      button.addEventListener("click", () => {
        sort(all(table, "tbody tr"), button.dataset.sort);
        for (const head of all(table, "th[aria-sort]")) head.removeAttribute("aria-sort");
        button.closest("th").setAttribute("aria-sort", button.dataset.sort === "name" ? "ascending" : "descending");
        said.textContent = `Sorted by ${button.textContent}.`;
      });
    }
  }

  // A pattern lights up the codes that have it.
  for (const button of all(document, "[data-match]")) {
    const match = JSON.parse(button.dataset.match);
    const figure = document.getElementById(button.dataset.codes);
    button.hidden = false;
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      for (const other of all(document, `[data-codes="${button.dataset.codes}"]`)) other.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-pressed", String(on));
      if (on) figure.classList.add("all");
      for (let part = figure.closest("details"); on && part; part = part.parentElement.closest("details")) part.open = true;
      for (const row of all(figure, ".row:not(.axis)")) {
        const has = match.every(([place, bit]) => row.dataset.code[place] === bit);
        row.classList.toggle("lit", on && has);
        row.classList.toggle("dim", on && !has);
      }
      said.textContent = on ? "The codes with this pattern are marked below." : "No codes are marked.";
    });
  }

  // A link to something in a closed part opens it.
  function reveal() {
    const wanted = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!wanted) return;
    for (let part = wanted.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    const own = wanted.querySelector(":scope > details.deep");
    if (own) own.open = true;
    wanted.scrollIntoView();
  }
  addEventListener("hashchange", reveal);
  reveal();

  // Tables that are wider than the page say so.
  function measure() {
    for (const wide of all(document, ".wide")) {
      const box = wide.querySelector(".scroll");
      wide.classList.toggle("over", box.scrollWidth > box.clientWidth + 1);
    }
  }
  addEventListener("resize", measure);
  document.addEventListener("toggle", measure, true);
  measure();
})();
