// What the page does without: a filter, opening all at once, opening what a link leads to in
// browsers that do not do so by themselves, and, where it is served, following a run.
(() => {
  "use strict";
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  let show = "all";

  function apply() {
    const filter = byId("filter");
    if (!filter) return;
    const steps = all(".step");
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const whole = show === "all" && words.length === 0;
    let shown = 0;
    for (const b of all("[data-show]")) b.setAttribute("aria-pressed", String(b.dataset.show === show));
    for (const s of steps) {
      const hit = (show === "all" || (show === "bad" ? s.dataset.tone === "bad" : s.classList.contains("critical"))) &&
        words.every((w) => s.dataset.key.includes(w));
      s.hidden = !hit;
      shown += hit;
    }
    for (const f of all(".stage .more")) {
      const hit = f.querySelector(".step:not([hidden])") !== null;
      f.hidden = !hit;
      if (!whole) f.open = hit;
    }
    for (const st of all(".stage")) st.hidden = st.querySelector(".step:not([hidden])") === null;
    byId("count").textContent = whole ? "" : shown + " of " + steps.length + " steps";
    document.querySelector(".tools").hidden = steps.length === 0;
  }

  function reveal() {
    const target = location.hash.length > 1 && byId(location.hash.slice(1));
    if (!target) return;
    if (target.closest(".step[hidden]")) {
      show = "all";
      byId("filter").value = "";
      apply();
    }
    for (let d = target.closest("details"); d; d = d.parentElement.closest("details")) d.open = true;
    const summary = target.parentElement.querySelector(":scope > summary");
    if (summary) {
      summary.scrollIntoView({ block: "center" });
      summary.focus({ preventScroll: true });
    }
  }

  document.addEventListener("click", (e) => {
    const button = e.target.closest("button");
    const link = e.target.closest('a[href^="#"]');
    if (link && link.hash === location.hash) reveal(); // no change, no event
    if (!button) return;
    if (button.dataset.show) {
      show = button.dataset.show;
      apply();
      if (show === "all") for (const f of all(".stage .more")) f.open = false;
    }
    if (button.id === "open") for (const d of all(".stage .more, .step")) if (!d.hidden) d.open = true;
    if (button.id === "close") for (const d of all(".stage .more, .step")) d.open = false;
  });
  document.addEventListener("input", (e) => {
    if (e.target.id === "filter") apply();
  });
  window.addEventListener("hashchange", reveal);
  apply();
  reveal();

  // What is open, typed and in focus stays so when the page is told what is new.
  const place = (d) => d.querySelector(":scope > [id]")?.id || d.closest("section").getAttribute("aria-label") ||
    d.closest("section").getAttribute("aria-labelledby");
  function update(body) {
    const open = new Set(all("details[open]").map(place));
    const at = document.activeElement;
    const focus = at && (at.id ? "#" + at.id : at.tagName === "SUMMARY" ? place(at.parentElement) : "");
    const words = byId("filter")?.value ?? "";
    const [start, end] = focus === "#filter" ? [at.selectionStart, at.selectionEnd] : [];
    byId("page").innerHTML = body;
    for (const d of all("details")) {
      const here = place(d);
      d.open = open.has(here);
      if (here === focus) d.querySelector("summary").focus({ preventScroll: true });
    }
    if (byId("filter")) byId("filter").value = words;
    apply();
    if (focus.startsWith("#")) byId(focus.slice(1))?.focus({ preventScroll: true });
    if (start !== undefined) byId("filter").setSelectionRange(start, end);
  }
  if (document.body.dataset.stream) {
    const source = new EventSource(document.body.dataset.stream);
    source.onmessage = (e) => update(JSON.parse(e.data));
    source.addEventListener("over", () => source.close());
  }
})();
