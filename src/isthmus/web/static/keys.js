// Arrow keys go from row to row.
for (const table of document.querySelectorAll("table.machines")) {
  table.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const rows = [...table.querySelectorAll("tbody tr")];
    const here = rows.indexOf(event.target.closest("tr"));
    const next = rows[here + step];
    if (!next) return;
    event.preventDefault();
    next.querySelector("a").focus();
  });
}
