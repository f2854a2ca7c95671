// The trend: history once, then each newest sample as the stream brings it.
const place = document.getElementById("trend");
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const MAX_LIVE = 4000;

async function read(asked) {
  const reply = await fetch(`/api/trend?${new URLSearchParams(asked)}`);
  return reply.ok ? reply.json() : null;
}

// On a page where stretches are chosen, dragging leads to the stretch.
function chosen(plot, address) {
  if (plot.select.width < 5) return;
  const ns = (pixel) => BigInt(Math.round(plot.posToVal(pixel, "x") * 1e6)) * 1000n;
  const { left, width } = plot.select;
  location.assign(`${address}?from=${ns(left)}&to=${ns(left + width)}`);
}

async function draw() {
  const { tag, unit, step, start, end, live, zone, known, then, choose } = place.dataset;
  const asked = { tag, start_ns: start, end_ns: end, points: "800" };
  const told = await read(known === undefined ? asked : { ...asked, known_ns: known });
  if (!told) return;
  let data = [told.time_s, told.value];
  // What came before anybody put it right, where somebody did.
  const came = then === undefined ? null : await read({ ...asked, known_ns: then });
  if (came) data = uPlot.join([[came.time_s, came.value], data]);
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
  document.addEventListener("told", (event) => {
    const newest = event.detail.data.trend;
    if (!newest || newest.tag !== tag) return;
    const seconds = newest.time_ns / 1e9;
    if (data[0].length && seconds <= data[0].at(-1)) return;
    data[0].push(seconds);
    data[1].push(newest.value);
    if (data[0].length > MAX_LIVE) for (const column of data) column.splice(0, MAX_LIVE / 4);
    plot.setData(data);
    place.dataset.drawn = String(data[0].length);
  });
}

if (place) draw();
