// One stream keeps the page true: each message holds the parts that changed, as the server drew them.
const SILENT_MS = 5000;
const stale = document.getElementById("stale");
const known = new Map();
let heard = Date.now();
let heardAt = new Date();

function put(id, html) {
  if (known.get(id) === html) return;
  known.set(id, html);
  const place = document.getElementById(id);
  if (!place) return;
  const held = place.contains(document.activeElement) ? document.activeElement.id : "";
  const open = [...place.querySelectorAll("details[open][id]")].map((one) => one.id);
  place.innerHTML = html;
  for (const one of open) document.getElementById(one)?.setAttribute("open", "");
  if (held) document.getElementById(held)?.focus({ preventScroll: true });
}

function told(event) {
  const message = JSON.parse(event.data);
  heard = Date.now();
  heardAt = new Date();
  stale.hidden = true;
  for (const [id, html] of Object.entries(message.cells)) put(id, html);
  document.dispatchEvent(new CustomEvent("told", { detail: message }));
}

const source = new EventSource("/live" + location.pathname + location.search);
source.addEventListener("message", told);
source.addEventListener("out", () => location.reload());
source.addEventListener("error", () => {
  if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), SILENT_MS);
});
addEventListener("pagehide", () => source.close());
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

setInterval(() => {
  if (Date.now() - heard < SILENT_MS) return;
  stale.textContent = `No contact with the site since ${heardAt.toLocaleTimeString("en-GB")}. What you see here may be old; it goes on by itself.`;
  stale.hidden = false;
}, 1000);
