// One stream keeps the page true: each message holds the parts that changed, as the server drew them.
import { morph } from "./morph.js";

const SILENT_MS = 5000;
const stale = document.getElementById("stale");
const needs = document.getElementById("needs");
const alarm = document.getElementById("alarm");
const main = document.getElementById("main");
const since = document.getElementById("since");
const SOON_MS = 1000;
const LATE_MS = 60000;
let [asking, nextAsk, wait] = [false, 0, SOON_MS];
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

// Where more has come than parts can say, such as a new row, the page is asked for again, and what is marked
// `data-again` is made like it. It waits while a line is held, and longer each time that nothing came of it.
async function again(of) {
  if (asking || Date.now() < nextAsk || main.dataset.of === of || document.querySelector("[data-held]")) return;
  asking = true;
  try {
    const reply = await fetch(location.href);
    if (!reply.ok) return;
    const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
    for (const place of document.querySelectorAll("[data-again]")) {
      const twin = fresh.getElementById(place.id);
      if (twin) morph(place, twin);
    }
    main.dataset.of = fresh.getElementById("main")?.dataset.of ?? "";
    document.dispatchEvent(new CustomEvent("again", { detail: fresh }));
  } catch {
    // The site is away: the next message says so, or asks again.
  } finally {
    asking = false;
    wait = main.dataset.of === of ? SOON_MS : Math.min(wait * 2, LATE_MS);
    nextAsk = Date.now() + wait;
  }
}

function told(event) {
  const message = JSON.parse(event.data);
  heard = Date.now();
  stale.hidden = true;
  for (const [id, html] of Object.entries(message.cells)) put(id, html);
  if (needs && alarm) announce();
  const { of, newest } = message.data;
  if (since && newest !== undefined && newest !== since.dataset.newest) since.hidden = false;
  if (of) again(of);
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
