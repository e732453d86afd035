// The overview of all heads, the facts of one, and the picture of all maps.

/** Mass that the answer's tokens put on the chosen span, for each head, from sums over bins of keys. */
async function massOnSpan([begin, end]) {
  const { n_bins: nBins, bin_len: binLen, layers } = report.answer_bins, values = [];
  for (const packed of layers) {
    const bytes = await unpack(packed), of = meaning(packed), row = [];
    for (let head = 0; head < nHeads; ++head) {
      let sum = 0;
      for (let bin = 0; bin < nBins; ++bin) {
        const shared = Math.min(end, (bin + 1) * binLen) - Math.max(begin, bin * binLen);
        if (shared > 0) sum += of[bytes[(nHeads + head) * nBins + bin]] * shared / binLen;
      }
      row.push(Math.min(1, sum));
    }
    values.push(row);
  }
  return values;
}

const kSpanMetric = {
  key: 'answer_on_span', name: 'answer on the marked span', unit: 'mass', scale: 'log',
  help: 'share of its attention that the answer gives to the marked span (click a token, shift-click another)',
};

const metricOf = (key) => [...report.heads.metrics, kSpanMetric].find((one) => one.key === key);

async function valuesOf(metric) {
  if (metric !== kSpanMetric) return metric.values;
  return state.span ? massOnSpan(state.span) : Array.from({ length: nLayers }, () => new Array(nHeads).fill(0));
}

function scaleOfMetric(metric, values) {
  const all = values.flat().filter((x) => Number.isFinite(x)), text = metric.unit === 'mass' ? percent : short;
  if (metric.scale === 'log') {
    const most = Math.max(...all, 1e-9);
    return scaleOf(Math.max(Math.min(...all.filter((x) => x > 0), most / 2), most / 4096), most, true, text);
  }
  return scaleOf(Math.min(...all, 0), Math.max(...all, 1e-9), false, text);
}

function startOverview() {
  $('metric').append(...[...report.heads.metrics, kSpanMetric].map((one) => make('option', { value: one.key }, one.name)));
  $('metric').addEventListener('change', () => set({ metric: $('metric').value }));
  $('overview').addEventListener('keydown', (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    move(...step);
  });
  new ResizeObserver(drawOverview).observe($('overview'));
  watch(['metric', 'theme'], drawOverview);
  watch(['span'], () => { if (state.metric === kSpanMetric.key) drawOverview(); });
  watch(['layer', 'head'], () => { ringOverview(); drawFacts(); });
  watch(['metric', 'span'], drawFacts);
}

function move(layers, heads) {
  set({ layer: Math.min(nLayers - 1, Math.max(0, state.layer + layers)), head: Math.min(nHeads - 1, Math.max(0, state.head + heads)) });
}

const kEdge = { left: 22, top: 16 };
let cell = { width: 1, height: 1 };

async function drawOverview() {
  const metric = metricOf(state.metric), values = await valuesOf(metric);
  const box = $('overview'), width = box.clientWidth, height = box.clientHeight;
  if (!(width > 0 && height > 0) || metric.key !== state.metric) return;
  const scale = scaleOfMetric(metric, values);
  cell = { width: (width - kEdge.left) / nHeads, height: (height - kEdge.top) / nLayers };
  const svg = make('svg', { viewBox: `0 0 ${width} ${height}`, xmlns: 'http://www.w3.org/2000/svg', role: 'img' });
  const every = Math.ceil(11 / cell.height), everyHead = Math.ceil(14 / cell.width);
  for (let head = 0; head < nHeads; head += everyHead)
    svg.append(make('text', { x: kEdge.left + (head + 0.5) * cell.width, y: 10, 'text-anchor': 'middle' }, String(head)));
  for (let layer = 0; layer < nLayers; ++layer) {
    if (layer % every === 0)
      svg.append(make('text', { x: kEdge.left - 6, y: kEdge.top + (layer + 0.5) * cell.height + 3.5, 'text-anchor': 'end' }, String(layer)));
    for (let head = 0; head < nHeads; ++head) {
      const value = values[layer][head];
      svg.append(make('rect', {
        x: (kEdge.left + head * cell.width + 0.75).toFixed(2), y: (kEdge.top + layer * cell.height + 0.75).toFixed(2),
        width: Math.max(1, cell.width - 1.5).toFixed(2), height: Math.max(1, cell.height - 1.5).toFixed(2), rx: 2,
        fill: css(shade(0.04 + 0.96 * scale.of(value))), 'data-layer': layer, 'data-head': head,
        onclick: () => set({ layer, head }),
      }, make('title', {}, `layer ${layer}, head ${head}: ${scale.text(value)}`)));
    }
  }
  markProof(svg);
  box.replaceChildren(svg);
  $('metric').value = state.metric;
  $('metric').title = metric.help;
  legend($('overview-legend'), scale, report.proof ? '● masked top  ○ masked other' : metric.unit === 'mass' ? '' : metric.unit);
  ringOverview();
}

function ringOverview() {
  const svg = $('overview').firstElementChild;
  if (!svg) return;
  for (const old of svg.querySelectorAll('.ring')) old.remove();
  svg.append(make('rect', {
    class: 'ring', x: kEdge.left + state.head * cell.width, y: kEdge.top + state.layer * cell.height, width: cell.width, height: cell.height, rx: 3,
    fill: 'none', stroke: variable('--mark'), 'stroke-width': 2,
  }));
}

/** The bin of keys, the first token's left out, at which the answer's first token looks most. */
async function mostLookedBin(layer, head) {
  const { n_bins: nBins, bin_len: binLen, layers } = report.answer_bins, bytes = await unpack(layers[layer]), of = meaning(layers[layer]);
  let best = 1;
  for (let bin = 1; bin < nBins; ++bin) if (bytes[head * nBins + bin] > bytes[head * nBins + best]) best = bin;
  return { begin: best * binLen, mass: of[bytes[head * nBins + best]] };
}

async function drawFacts() {
  const { layer, head } = state, most = report.answer_bins ? await mostLookedBin(layer, head) : null;
  if (layer !== state.layer || head !== state.head) return;
  const list = make('dl', { class: 'pairs', style: 'margin:4px 0 0' });
  for (const metric of report.heads.metrics) {
    const on = metric.key === state.metric ? 'on' : '', value = metric.values[layer][head];
    list.append(make('dt', { class: on, title: metric.help }, metric.name),
                make('dd', { class: on }, metric.unit === 'mass' ? percent(value) : `${short(value)}${metric.unit ? ` ${metric.unit}` : ''}`));
  }
  const facts = $('head-facts');
  facts.replaceChildren(make('div', {}, make('b', {}, `Layer ${layer}, head ${head}`), ' ', make('span', { class: 'dim' }, report.heads.classes[layer][head])), list);
  if (most && most.mass > 0) facts.append(aroundElement('sees', most.begin, 18));
}

// --- all heads at once ---

function startAtlas() {
  $('atlas-note').textContent = `${nLayers} layers across, ${nHeads} heads down: ${report.maps.size} × ${report.maps.size} blocks each, log scale`;
  const canvas = $('atlas');
  let seen = false;
  const draw = () => { if (seen) drawAtlas(); };
  new IntersectionObserver(([entry]) => { if (entry.isIntersecting && !seen) { seen = true; draw(); } }, { rootMargin: '300px' }).observe(canvas);
  new ResizeObserver(draw).observe(canvas.parentElement);
  watch(['theme', 'layer', 'head'], draw);
  const at = (event) => {
    const box = canvas.getBoundingClientRect(), size = box.width / nLayers;
    const layer = Math.floor((event.clientX - box.left) / size), head = Math.floor((event.clientY - box.top) / size);
    return layer >= 0 && layer < nLayers && head >= 0 && head < nHeads ? { layer, head } : null;
  };
  canvas.addEventListener('click', (event) => { const one = at(event); if (one) { set(one); $('map').scrollIntoView({ block: 'center', behavior: 'smooth' }); } });
  canvas.addEventListener('mousemove', (event) => { const one = at(event); if (one) canvas.title = `layer ${one.layer}, head ${one.head}: ${report.heads.classes[one.layer][one.head]}`; });
}

async function drawAtlas() {
  const canvas = $('atlas'), size = canvas.parentElement.clientWidth - 32;
  canvas.style.height = `${size / nLayers * nHeads}px`;
  const pictures = [];
  for (let layer = 0; layer < nLayers; ++layer) for (let head = 0; head < nHeads; ++head) pictures.push(await smallMap(layer, head));
  const { context, width } = fitted(canvas), side = width / nLayers;
  context.imageSmoothingQuality = 'high';
  for (let layer = 0; layer < nLayers; ++layer) {
    for (let head = 0; head < nHeads; ++head) {
      context.drawImage(picture(pictures[layer * nHeads + head]), layer * side + 1.5, head * side + 1.5, side - 3, side - 3);
    }
  }
  context.strokeStyle = variable('--mark');
  context.lineWidth = 2;
  context.strokeRect(state.layer * side + 1, state.head * side + 1, side - 2, side - 2);
}
