// Along the text, most looked at, top keys, sinks, and what ran.

/** The windows of the text, what frames it left out, that have most of `values`, apart from each other. */
function mostLooked(values, count = 8) {
  const { begin: from, end: to } = report.text, sums = new Float64Array(Math.max(0, to - kWindow + 1));
  let sum = 0;
  for (let i = from; i < to; ++i) {
    sum += values[i];
    if (i >= from + kWindow) sum -= values[i - kWindow];
    if (i + 1 >= from + kWindow) sums[i + 1 - kWindow] = sum;
  }
  const order = Array.from(sums.keys()).filter((i) => sums[i] > 0).sort((a, b) => sums[b] - sums[a]).slice(0, 4000), found = [];
  for (const begin of order) {
    if (found.length === count) break;
    if (found.every((one) => Math.abs(one.begin - begin) >= kWindow)) found.push({ begin, mass: sums[begin] });
  }
  return found;
}

function item(position, figure, share, pieces, onclick) {
  return make('li', { onclick, tabindex: 0, 'data-at': position, onkeydown: (event) => { if (event.key === 'Enter') onclick(); } },
              make('b', {}, figure), make('q', {}, ...pieces), make('span', { class: 'bar2' }, make('i', { style: `width:${(100 * share).toFixed(1)}%` })));
}

function drawSpans() {
  const looking = state.colour === 'answer' || state.colour === 'token', box = $('spans');
  if (!looking) {
    $('spans-note').textContent = 'colour the text by Answer or Token to fill this list';
    return box.replaceChildren();
  }
  const found = mostLooked(shown.excess), { begin, end } = report.text, share = (from, to) => percent(shown.values.subarray(from, to).reduce((sum, x) => sum + x, 0));
  $('spans-note').textContent = `${kWindow} tokens of the text each, ${scopeName()}, beyond what later tokens give them on average. Counting what is above an even share, all the text gets ${share(begin, end)}, the first token ${percent(shown.values[0])}, question and answer ${share(end, nTokens)}`;
  box.replaceChildren(...found.map(({ begin, mass }) => {
    let best = begin;
    for (let i = begin; i < begin + kWindow; ++i) if (shown.excess[i] > shown.excess[best]) best = i;
    let before = '', after = '';
    for (let i = begin; i < best; ++i) before += visible(i);
    for (let i = best + 1; i < Math.min(nTokens, begin + kWindow + 6); ++i) after += visible(i);
    const choose = () => { jump(best); set({ span: [begin, begin + kWindow] }); };
    return item(best, percent(mass), mass / found[0].mass, [before.slice(-44), make('mark', {}, visible(best)), after], choose);
  }));
}

async function drawSinks() {
  const { epsilon, tokens, rate_early: early, n_early: nEarly } = report.sinks;
  $('sinks-note').textContent = `share of the heads in which a token gets more than ${percent(epsilon)} of its readers' attention on average; of the first ${nEarly} tokens alone, the first is one in ${percent(early)}`;
  const go = (position) => () => { jump(position); set({ token: position }); };
  const quote = (position, more = '') => { const [before, it, after] = around(position, 18); return [before, make('mark', {}, it || '·'), after + more]; };
  $('sinks').replaceChildren(...tokens.map(({ position, heads, mean }) => {
    const share = heads / (nLayers * nHeads);
    return item(position, percent(share), share, quote(position, `  · mean ${percent(mean)}`), go(position));
  }));
  const values = await numbers(report.received.all), known = new Set(tokens.map(({ position }) => position));
  // The last tokens have few readers, who look near.
  const next = Array.from(values.keys()).slice(0, -64).filter((i) => !known.has(i)).sort((a, b) => values[b] - values[a]).slice(0, Math.max(0, 8 - tokens.length));
  $('received-note').textContent = next.length > 0 ? 'then, by the mean weight that all heads give:' : '';
  $('received').replaceChildren(...next.map((i) => item(i, percent(values[i]), values[i] / values[next[0]], quote(i), go(i))));
}

async function drawTop() {
  const position = state.token >= 0 ? state.token : state.row >= 0 ? report.rows[state.row].position : nPrompt - 1;
  const all = await Promise.all(report.top_keys.layers.map((one) => topKeys(one, position)));
  const body = make('tbody');
  all.forEach((keys, layer) => {
    const buttons = keys.map(({ key, weight }) => {
      const t = scaleOf(1 / 256, 1, true).of(weight);
      return make('button', { style: `background:${css(shade(0.04 + 0.96 * t))};color:${inkOn(t)}`, title: `${whole(key)}: ${percent(weight)} in layer ${layer}`, onclick: () => jump(key) }, visible(key).trim() || visible(key) || '·');
    });
    body.append(make('tr', { class: layer === state.layer ? 'on' : '' }, make('th', { scope: 'row' }, String(layer)), make('td', {}, ...buttons)));
  });
  $('top-note').textContent = `of “${visible(position)}” at ${whole(position)}, layer by layer, mean of the heads`;
  $('top').replaceChildren(make('div', { class: 'scroll' }, make('table', {}, body)));
}

// --- along the text ---

const kAlong = {
  entropy: { name: 'Spread', scale: () => scaleOf(0, 1, false, percent), what: 'entropy of a token’s attention, of an even spread' },
  received: { name: 'Received', scale: () => scaleOf(0.2 / nTokens, 0.05, true, percent), what: 'mean weight that later tokens give, the largest of each column' },
  distance: { name: 'Distance', scale: () => scaleOf(1, nTokens / 2, true, short), what: 'mean distance in tokens' },
};
const kAlongEdge = { left: 22, bottom: 22 };

async function drawAlong() {
  const kind = state.along, rows = await Promise.all(report[kind].layers.map((packed) => numbers(packed)));
  if (kind !== state.along) return;
  const { context, width, height } = fitted($('along'));
  const columns = Math.floor(width - kAlongEdge.left), scale = kAlong[kind].scale(), tall = (height - kAlongEdge.bottom) / nLayers;
  const image = make('canvas', { width: columns, height: nLayers }), inside = image.getContext('2d'), data = inside.createImageData(columns, nLayers);
  rows.forEach((values, layer) => {
    for (let x = 0; x < columns; ++x) {
      const from = Math.floor(x * nTokens / columns), to = Math.max(from + 1, Math.floor((x + 1) * nTokens / columns));
      let sum = 0, most = 0;
      for (let i = from; i < to; ++i) { sum += values[i]; most = Math.max(most, values[i]); }
      const [r, g, b] = shade(0.03 + 0.97 * scale.of(kind === 'received' ? most : sum / (to - from)));
      data.data.set([r, g, b, 255], 4 * (layer * columns + x));
    }
  });
  inside.putImageData(data, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(image, kAlongEdge.left, 0, columns, height - kAlongEdge.bottom);
  context.font = `10px ${variable('--sans')}`;
  context.fillStyle = variable('--dim');
  context.textBaseline = 'middle';
  context.textAlign = 'right';
  for (let layer = 0; layer < nLayers; layer += Math.ceil(12 / tall)) context.fillText(String(layer), kAlongEdge.left - 6, (layer + 0.5) * tall);
  context.textAlign = 'left';
  context.font = `11px ${variable('--serif')}`;
  const ticks = Math.floor(columns / 170);
  for (let i = 0; i < ticks; ++i) {
    const at = Math.floor(i * nTokens / ticks);
    context.fillText(`${whole(at)}  ${words(at, 16)}`, kAlongEdge.left + i * columns / ticks, height - 8, 150);
  }
  context.fillStyle = variable('--mark');
  if (state.token >= 0) context.fillRect(kAlongEdge.left + state.token / nTokens * columns - 0.75, 0, 1.5, height - kAlongEdge.bottom);
  legend($('along-legend'), scale, kAlong[kind].what);
  $('along').rows = rows;
}

function startAlong() {
  const canvas = $('along');
  choice($('along-metric'), Object.entries(kAlong).map(([value, { name }]) => ({ value, name })), 'along');
  const at = (event) => {
    const box = canvas.getBoundingClientRect(), columns = box.width - kAlongEdge.left;
    const position = Math.floor((event.clientX - box.left - kAlongEdge.left) / columns * nTokens);
    const layer = Math.floor((event.clientY - box.top) / (box.height - kAlongEdge.bottom) * nLayers);
    return position >= 0 && position < nTokens && layer >= 0 && layer < nLayers ? { position, layer } : null;
  };
  canvas.addEventListener('mousemove', (event) => {
    const one = at(event), what = $('along-legend').querySelector('.what');
    if (!what || !canvas.rows) return;
    const { name } = kAlong[state.along], value = one && canvas.rows[one.layer][one.position];
    what.textContent = one ? `layer ${one.layer}, ${whole(one.position)} “${visible(one.position)}”: ${name.toLowerCase()} ${state.along === 'distance' ? short(value) : percent(value)}` : kAlong[state.along].what;
  });
  canvas.addEventListener('click', (event) => { const one = at(event); if (one) { jump(one.position); lookFrom(one.position); } });
  new ResizeObserver(drawAlong).observe(canvas);
  watch(['along', 'theme', 'token'], drawAlong);
}

function drawRun() {
  const group = (name, rows) => {
    const list = make('dl', { class: 'pairs', style: 'margin:0' });
    for (const [key, value] of rows) list.append(make('dt', {}, key), make('dd', {}, String(value)));
    return make('div', {}, make('h3', {}, name), list);
  };
  $('run').replaceChildren(...report.run.map(({ name, rows }) => group(name, rows)), make('div', {}, make('h3', {}, 'Plan'), make('pre', {}, report.plan)));
  $('facts').replaceChildren(...report.facts.map(([key, value]) => make('div', {}, make('dt', {}, key), make('dd', {}, value))));
}

function startLists() {
  drawRun();
  drawSinks();
  startAlong();
  watch(['token', 'row', 'layer', 'theme'], drawTop);
}
