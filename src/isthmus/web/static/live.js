// One stream keeps the page true: each message holds the parts that changed, as the server drew them.
import { morph } from "./morph.js";

const SILENT_MS = 5000;
const stale = document.getElementById("stale");
const needs = document.getElementById("needs");
const alarm = document.getElementById("alarm");
let heard = Date.now();
let known = needs ? ids(needs) : new Set();

function ids(place) {
  return new Set([...place.children].map((one) => one.id));
}

function put(id, html) {
  const place = document.getElementById(id);
  if (!place) return;
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  morph(place, fresh.content);
}

// Only what is new is read aloud, once; a minute more of an old stop is not.
function announce() {
  const now = ids(needs);
  const fresh = [...now].filter((id) => !known.has(id));
  known = now;
  if (fresh.length) alarm.textContent = fresh.map((id) => document.querySelector(`#${CSS.escape(id)} > b`)?.textContent ?? "").join(". ");
}

function told(event) {
  const message = JSON.parse(event.data);
  heard = Date.now();
  stale.hidden = true;
  for (const [id, html] of Object.entries(message.cells)) put(id, html);
  if (needs && alarm) announce();
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
  const since = new Date(heard).toLocaleTimeString("en-GB");
  stale.textContent = `No contact with the site since ${since}. What you see here may be old; it goes on by itself.`;
  stale.hidden = false;
}, 1000);
