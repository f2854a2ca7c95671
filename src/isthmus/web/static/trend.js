// The trend: history once, then each newest sample as the stream brings it.
let place = null;
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const MAX_LIVE = 4000;
const AGAIN_MS = 20000;
const WIDE = 1 / 40;

async function read(asked) {
  const reply = await fetch(`/api/trend?${new URLSearchParams(asked)}`);
  return reply.ok ? lasting(await reply.json()) : null;
}

// Where nothing came for long a value is drawn as every figure takes it: it holds until the next sample.
function lasting(told) {
  if (told.step) return told;
  const wide = ((told.end_ns - told.start_ns) / 1e9) * WIDE;
  const drawn = { ...told, time_s: [], value: [] };
  told.time_s.forEach((moment, at) => {
    hold([drawn.time_s, drawn.value], moment, wide);
    drawn.time_s.push(moment);
    drawn.value.push(told.value[at]);
  });
  return drawn;
}

// The values before `moment` once more just before it, when they stand further away than `wide` seconds.
function hold([times, ...values], moment, wide) {
  if (!times.length || moment - times.at(-1) <= wide) return;
  times.push(moment - 0.001);
  for (const column of values) column.push(column.at(-1));
}

// The line, and below it what came before anybody put it right, where somebody did.
async function columns(asked, then) {
  const told = await read(asked);
  if (!told) return null;
  const now = [told.time_s, told.value];
  const came = then === undefined ? null : await read({ ...asked, known_ns: then });
  return came ? uPlot.join([[came.time_s, came.value], now]) : now;
}

// On a page where stretches are chosen, dragging leads to the stretch.
function chosen(plot, address) {
  if (plot.select.width < 5) return;
  const ns = (pixel) => BigInt(Math.round(plot.posToVal(pixel, "x") * 1e6)) * 1000n;
  const { left, width } = plot.select;
  location.assign(`${address}?from=${ns(left)}&to=${ns(left + width)}`);
}

// A line is left alone while somebody drags over it or looks into a part of it; `data-held` says so to the page.
function held(plot, place, zooms) {
  const hand = { pressed: false, zoomed: false };
  const tell = () => place.toggleAttribute("data-held", hand.pressed || hand.zoomed);
  plot.over.addEventListener("mousedown", () => tell((hand.pressed = true)));
  addEventListener("mouseup", () => tell((hand.pressed = false)));
  plot.over.addEventListener("dblclick", () => tell((hand.zoomed = false)));
  if (zooms) plot.hooks.setSelect = [(one) => one.select.width && tell((hand.zoomed = true))];
  return hand;
}

async function draw() {
  const { tag, unit, step, start, end, live, zone, known, then, choose } = place.dataset;
  const asked = { tag, start_ns: start, end_ns: end, points: "800", ...(known === undefined ? {} : { known_ns: known }) };
  let data = await columns(asked, then);
  if (!data) return;
  const came = data.length > 2;
  const lines = step === "1" ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear();
  const axis = { stroke: ink("--ink-2"), grid: { stroke: ink("--line"), width: 1 }, ticks: { stroke: ink("--line") } };
  const options = {
    width: place.clientWidth,
    height: 220,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
    fmtDate: uPlot.fmtDate,
    cursor: { drag: { x: true, y: false, setScale: !choose } },
    hooks: choose ? { setSelect: [(one) => chosen(one, choose)] } : {},
    scales: { x: { time: true } },
    axes: [{ ...axis, values: [[86400, "{D} {MMM}", null, null, null, null, null, null, 1], [3600, "{HH}:{mm}", null, null, null, null, null, null, 1], [60, "{HH}:{mm}", null, null, null, null, null, null, 1], [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1]] }, { ...axis, size: 60 }],
    series: [
      { label: "time", value: "{HH}:{mm}:{ss}" },
      { label: unit ? `${tag}, ${unit}` : tag, stroke: ink("--run"), width: 1.5, paths: lines, points: { show: false }, spanGaps: false },
    ],
  };
  // Below the line itself: it shows only where the two differ.
  if (came) options.series.splice(1, 0, { label: "as it came", stroke: ink("--down"), width: 1.2, dash: [4, 4], paths: lines, points: { show: false } });
  const plot = new uPlot(options, data, place);
  place.dataset.drawn = String(data[0].length);
  new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: 220 })).observe(place);
  if (live !== "1") return;
  const hand = held(plot, place, !choose);
  let readAt = Date.now();
  document.addEventListener("told", async (event) => {
    const newest = event.detail.data.trend;
    if (!newest || newest.tag !== tag || hand.pressed) return;
    const { start_ns, end_ns } = newest;
    // Where the page keeps up with its tag the line is read again now and then: a message has only the newest value.
    if (start_ns && Date.now() - readAt > AGAIN_MS) {
      readAt = Date.now();
      data = (await columns({ ...asked, start_ns, end_ns }, then)) ?? data;
    }
    add(data, newest, step === "1" ? Infinity : ((end - start) / 1e9) * WIDE);
    plot.batch(() => {
      plot.setData(data, !start_ns && !hand.zoomed);
      if (start_ns && !hand.zoomed) plot.setScale("x", { min: start_ns / 1e9, max: end_ns / 1e9 });
    });
    place.dataset.drawn = String(data[0].length);
  });
}

function add(data, { time_ns, value }, wide) {
  const seconds = time_ns / 1e9;
  if (time_ns === null || (data[0].length && seconds <= data[0].at(-1))) return;
  hold(data, seconds, wide);
  data[0].push(seconds);
  for (const column of data.slice(1)) column.push(value);
  if (data[0].length > MAX_LIVE) for (const column of data) column.splice(0, MAX_LIVE / 4);
}

function begin() {
  place = document.getElementById("trend");
  if (place && place.dataset.drawn === undefined) draw();
}

begin();
document.addEventListener("again", begin);
