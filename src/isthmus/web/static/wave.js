// A fast signal: one burst over the time since its first reading, and how strong each burst was.
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const axis = () => ({ stroke: ink("--ink-2"), grid: { stroke: ink("--line"), width: 1 }, ticks: { stroke: ink("--line") } });

async function asked(address, query) {
  const reply = await fetch(`${address}?${new URLSearchParams(query)}`);
  return reply.ok ? reply.json() : null;
}

// A newer burst takes the place of the one before, but not while somebody drags over it or looks into a part of it:
// `data-held` says so to the page.
const ends = new WeakMap();

function put(place, options, data) {
  ends.get(place)?.abort();
  const end = new AbortController();
  ends.set(place, end);
  const plot = new uPlot({ width: place.clientWidth, height: 240, ...options }, data, place);
  place.dataset.drawn = String(data[0].length);
  const size = new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: 240 }));
  size.observe(place);
  end.signal.addEventListener("abort", () => [size.disconnect(), plot.destroy()]);
  const whole = () => plot.scales.x.min <= plot.data[0][0] && plot.scales.x.max >= plot.data[0].at(-1);
  plot.over.addEventListener("mousedown", () => place.toggleAttribute("data-held", true));
  plot.over.addEventListener("dblclick", () => place.toggleAttribute("data-held", false));
  const released = () => setTimeout(() => place.toggleAttribute("data-held", !whole()), 50);
  addEventListener("mouseup", released, { signal: end.signal });
  return plot;
}

async function wave(place) {
  const { tag, unit, at } = place.dataset;
  const told = await asked("/api/waveform", { tag, at_ns: at, points: "1600" });
  if (!told) return;
  const long = told.x_s.at(-1) >= 10;
  const ms = told.x_s.map((x) => (long ? x : x * 1000));
  put(place, {
    cursor: { drag: { x: true, y: false } },
    scales: { x: { time: false } },
    axes: [{ ...axis(), label: `since the first reading, ${long ? "s" : "ms"}`, labelSize: 22 }, { ...axis(), size: 64, label: unit || undefined, labelSize: 20 }],
    series: [
      { label: long ? "s" : "ms", value: (_, x) => (x == null ? "–" : x.toFixed(3)) },
      { label: unit ? `${tag}, ${unit}` : tag, stroke: ink("--run"), width: 1.2, points: { show: false } },
    ],
  }, [ms, told.value]);
}

async function strength(place) {
  const { tag, unit, start, end, zone, go } = place.dataset;
  const told = await asked("/api/waveforms", { tag, start_ns: start, end_ns: end });
  if (!told) return;
  const rows = told.rows;
  // A click, and not the end of a drag, leads to the burst under the pointer. A number of this language is
  // off by some hundred ns, and the burst that is shown is the last that began by then.
  const look = () => {
    if (plot.cursor.idx == null) return;
    location.assign(`${go}?at=${BigInt(rows[plot.cursor.idx].time_ns) + 1000n}&from=${start}&to=${end}#wave-of`);
  };
  const line = (label, colour, dash) => ({ label: unit ? `${label}, ${unit}` : label, stroke: ink(colour), width: 1.5, dash, points: { show: rows.length < 400, size: 5, fill: ink("--panel") } });
  const plot = put(place, {
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
    fmtDate: uPlot.fmtDate,
    cursor: { drag: { x: true, y: false } },
    scales: { x: { time: true } },
    axes: [{ ...axis(), values: [[86400, "{D} {MMM}", null, null, null, null, null, null, 1], [3600, "{HH}:{mm}", null, null, null, null, null, null, 1], [60, "{HH}:{mm}", null, null, null, null, null, null, 1], [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1]] }, { ...axis(), size: 64 }],
    series: [{ label: "time", value: "{HH}:{mm}:{ss}" }, line("RMS", "--run"), line("peak", "--setup", [4, 3])],
  }, [rows.map((one) => one.time_ns / 1e9), rows.map((one) => one.rms), rows.map((one) => one.peak)]);
  plot.over.addEventListener("click", look);
}

const DRAWN = [["wave", wave], ["strength", strength]];

for (const [id, draw] of DRAWN) {
  const place = document.getElementById(id);
  if (place) draw(place);
}

document.addEventListener("again", ({ detail: fresh }) => {
  for (const [id, draw] of DRAWN) {
    const [place, twin] = [document.getElementById(id), fresh.getElementById(id)];
    if (place && twin) {
      Object.assign(place.dataset, twin.dataset);
      draw(place);
    }
  }
});
