// The text, coloured by who looked at it; only the part in view is in the page.

const kWindow = 12;  // tokens of a span of the list "most looked at"
const control = new Set(report.control);

/** The kept row of a query position, or -1. */
const rowAt = (position) => report.rows.findIndex((row) => row.position === position);

/** Sums of the top keys of a query: of one layer, or the mean of all. */
async function topKeysOf(position, layer) {
  const layers = layer < 0 ? report.top_keys.layers : [report.top_keys.layers[layer]], out = new Float32Array(nTokens);
  for (const one of layers) {
    for (const { key, weight } of await topKeys(one, position)) out[key] += weight / layers.length;
  }
  return out;
}

/** Keys are stored as 0 for the first token, else 1 + how far back; bytes of all places and tokens, lowest byte first. By position; given back by weight. */
async function topKeys({ keys, weights }, position) {
  const bytes = await unpack(keys), codes = await unpack(weights), of = meaning(weights), { k } = report.top_keys, found = [];
  const planes = keys.shape[0];
  for (let rank = 0; rank < k; ++rank) {
    const at = rank * nTokens + position;
    let back = 0;
    for (let plane = 0; plane < planes; ++plane) back += bytes[plane * k * nTokens + at] * 256 ** plane;
    if (codes[at] > 0) found.push({ key: back === 0 ? 0 : position - (back - 1), weight: of[codes[at]] });
  }
  return found.sort((a, b) => b.weight - a.weight);
}

/** A row of a head's finest map, spread evenly over the keys of each block. */
async function mapRow(position, layer, head) {
  const map = await finestMap(layer, head), out = new Float32Array(nTokens), row = Math.min(map.size - 1, Math.floor(position * map.size / nPrompt));
  for (let column = 0; column <= row; ++column) {
    const from = Math.ceil(column * nPrompt / map.size), to = Math.min(position + 1, Math.ceil((column + 1) * nPrompt / map.size));
    for (let key = from; key < to; ++key) out[key] = massAt(map, row, column) / (to - from);
  }
  return out;
}

async function keptRow(row) {
  const { layer, head, scope } = state, chosen = isChosen(layer, head);
  if (scope === 'head' && chosen >= 0) return numbers(report.looked.heads[chosen], row);
  return numbers(scope === 'all' ? report.looked.all : report.looked.layers[layer], row);
}

/** The mean over the kept rows of the answer. */
async function answerMean() {
  const rows = report.rows.flatMap(({ kind }, i) => (kind === 'answer' ? [i] : [])), out = new Float32Array(nTokens);
  for (const row of rows) {
    const values = await keptRow(row);
    for (let i = 0; i < nTokens; ++i) out[i] += values[i] / rows.length;
  }
  return out;
}

const kLabel = { all: 'all layers', layer: () => `layer ${state.layer}`, head: () => `head ${state.layer}.${state.head}` };
const scopeName = () => (state.scope === 'all' ? kLabel.all : kLabel[state.scope]());

/** What the text is coloured by: { values, scale, who: what is shown, in words, exact }. */
async function looks() {
  const { colour, scope, layer, head } = state, chosen = isChosen(layer, head);
  if (colour === 'received' || colour === 'entropy') {
    const kind = report[colour], packed = scope === 'all' ? kind.all : scope === 'head' && chosen >= 0 ? kind.heads[chosen] : kind.layers[layer];
    const values = await numbers(packed), of = colour === 'received';
    return { values, who: [of ? 'what later tokens give each token on average' : 'how widely each token spread its attention', ''],
             scale: of ? scaleOf(0.2 / nTokens, peak(values), true, percent) : scaleOf(0, 1, false, percent) };
  }
  if (colour === 'token' && state.token >= 0) {
    const row = rowAt(state.token);
    const values = row >= 0 ? await keptRow(row) : scope === 'head' ? await mapRow(Math.min(state.token, nPrompt - 1), layer, head) : await topKeysOf(state.token, scope === 'all' ? -1 : layer);
    return { values, scale: scaleOf(1 / nTokens, peak(values), true, percent),
             who: ['token', visible(state.token), `at ${whole(state.token)} looked${row >= 0 ? '' : scope === 'head' ? ', in blocks' : `, its ${report.top_keys.k} top keys a layer`}`] };
  }
  const values = state.row < 0 ? await answerMean() : await keptRow(state.row);
  const who = state.row < 0 ? ['where the whole answer looked', ''] : ['where', visibleText(report.rows[state.row].chooses), 'looked as it was chosen'];
  return { values, scale: scaleOf(1 / nTokens, peak(values), true, percent), who };
}

const visibleText = (text) => text.replace(/\n/g, '⏎');

/** What a token gets beyond what later tokens give it on average: the first lines of a text, which everybody looks at, are no finding. */
async function excessOf(values) {
  const { scope, layer, head } = state, chosen = isChosen(layer, head), { all, layers, heads } = report.received;
  const usual = await numbers(scope === 'all' ? all : scope === 'head' && chosen >= 0 ? heads[chosen] : layers[layer]);
  return values.map((value, i) => Math.max(0, value - usual[i]));
}

/** The largest value within the text: what frames it, question and answer are often far above. */
function peak(values) {
  let most = 4 / nTokens;
  for (let i = Math.max(4, report.text.begin); i < report.text.end; ++i) if (values[i] > most) most = values[i];
  return most;
}

// --- pages: pieces of about 200 tokens that end at a line's end where they can ---

const pages = [];
let shown = null;  // what looks() gave last

function cut() {
  let begin = 0;
  for (let i = 0; i < nTokens; ++i) {
    const length = i + 1 - begin, ends = report.pieces[i].endsWith('\n');
    if (i + 1 === nTokens || (ends && length >= 120) || length >= 400) {
      pages.push({ begin, end: i + 1, element: null, filled: false });
      begin = i + 1;
    }
  }
}

function guessHeight(page) {
  const perLine = Math.max(20, $('pages').clientWidth / 7.6);
  let lines = 0;
  for (const line of report.pieces.slice(page.begin, page.end).join('').replace(/\n$/, '').split('\n')) lines += Math.max(1, Math.ceil(line.length / perLine));
  return lines * 27.5;
}

function paint(span, position) {
  const t = shown ? shown.scale.of(shown.values[position]) : 0;
  span.style.background = t > 0.01 ? css(shade(t)) : '';
  span.style.color = t > 0.01 ? inkOn(t) : '';
  span.classList.toggle('here', state.token === position);
  span.classList.toggle('span', Boolean(state.span) && position >= state.span[0] && position < state.span[1]);
}

function fill(page) {
  if (page.filled) return;
  page.filled = true;
  const pieces = [];
  for (let i = page.begin; i < page.end; ++i) {
    if (!report.pieces[i]) continue;
    const span = make('span', { 'data-at': i, class: control.has(i) ? 'control' : '' }, report.pieces[i]);
    paint(span, i);
    pieces.push(span);
  }
  page.element.style.minHeight = '';
  page.element.replaceChildren(...pieces);
}

function empty(page) {
  if (!page.filled) return;
  page.filled = false;
  page.element.style.minHeight = `${page.element.offsetHeight}px`;
  page.element.replaceChildren();
}

function repaint() {
  for (const page of pages) if (page.filled) for (const span of page.element.children) paint(span, Number(span.dataset.at));
  drawMinimap();
}

const pageOf = (position) => pages.findIndex((page) => position < page.end);

function jump(position) {
  const at = pageOf(position);
  for (const page of pages.slice(Math.max(0, at - 1), at + 2)) fill(page);
  const span = [...pages[at].element.children].findLast((one) => Number(one.dataset.at) <= position);
  if (!span) return;
  const box = $('pages'), offset = span.getBoundingClientRect().top - box.getBoundingClientRect().top;
  box.scrollTop += offset - box.clientHeight * 0.4;
}

/** Colours the text by one token: a kept row where there is one. */
function lookFrom(position, scope = state.scope) {
  const row = rowAt(position);
  set({ token: position, colour: 'token', scope, row: row >= 0 && report.rows[row].kind === 'answer' ? row : -1 });
}

function clickText(event) {
  const position = Number(event.target.dataset?.at ?? -1);
  if (position < 0) return;
  if (event.shiftKey && state.token >= 0) {
    getSelection()?.removeAllRanges();
    return set({ span: [Math.min(position, state.token), Math.max(position, state.token) + 1], metric: kSpanMetric.key });
  }
  lookFrom(position);
}

async function drawText() {
  const { colour, scope, layer, head, row, token } = state;
  const found = await looks();
  if (colour !== state.colour || scope !== state.scope || layer !== state.layer || head !== state.head || row !== state.row || token !== state.token) return;
  if (colour === 'answer' || colour === 'token') found.excess = await excessOf(found.values);
  shown = found;
  const [before, it, after] = found.who;
  $('says').replaceChildren(`${before} `, make('b', {}, it ? `“${it.trim() || it}”` : ''), ` ${after ?? ''} · ${scopeName()}`);
  legend($('text-legend'), found.scale, colour === 'entropy' ? 'of an even spread' : colour === 'received' ? 'mean weight' : 'to the text’s largest');
  repaint();
  drawSpans();
  $('scope').children[2].disabled = isChosen(layer, head) < 0 && !(colour === 'token');
}

// --- beside the text: all of it at once ---

function drawMinimap() {
  const { context, width, height } = fitted($('minimap'));
  if (!shown || !(height > 0)) return;
  const rows = Math.floor(height);
  context.fillStyle = css(shade(0.03));
  context.fillRect(0, 0, width, height);
  for (let y = 0; y < rows; ++y) {
    let most = 0;
    for (let i = Math.floor(y * nTokens / rows); i < Math.max(Math.floor(y * nTokens / rows) + 1, Math.floor((y + 1) * nTokens / rows)); ++i) most = Math.max(most, shown.scale.of(shown.values[i]));
    context.fillStyle = css(shade(Math.max(0.03, most)));
    context.fillRect(0, y, width, 1);
  }
  const y = (position) => position / nTokens * height;
  context.fillStyle = variable('--mark');
  if (state.token >= 0) context.fillRect(0, y(state.token) - 1, width, 2);
  const [from, to] = inView();
  context.strokeStyle = variable('--ink');
  context.lineWidth = 1.5;
  context.strokeRect(0.75, Math.max(0.75, y(from)), width - 1.5, Math.min(height - 1.5 - y(from), Math.max(6, y(to) - y(from))));
}

/** The tokens in view, to within a line. */
function inView() {
  const box = $('pages').getBoundingClientRect(), seen = pages.filter((page) => page.filled).map((page) => ({ page, at: page.element.getBoundingClientRect() }))
    .filter(({ at }) => at.bottom > box.top && at.top < box.bottom);
  if (seen.length === 0) return [0, 0];
  const part = ({ page, at }, y) => page.begin + (page.end - page.begin) * Math.min(1, Math.max(0, (y - at.top) / Math.max(1, at.height)));
  return [part(seen[0], box.top), part(seen[seen.length - 1], box.bottom)];
}

function startMinimap() {
  const canvas = $('minimap');
  const go = (event) => { const box = canvas.getBoundingClientRect(); jump(Math.min(nTokens - 1, Math.max(0, Math.floor((event.clientY - box.top) / box.height * nTokens)))); };
  canvas.addEventListener('pointerdown', (event) => { canvas.setPointerCapture(event.pointerId); go(event); });
  canvas.addEventListener('pointermove', (event) => { if (event.buttons) go(event); });
  let waiting = false;
  $('pages').addEventListener('scroll', () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; drawMinimap(); });
  }, { passive: true });
  new ResizeObserver(drawMinimap).observe(canvas);
}

function startAnswer() {
  const answer = $('answer');
  const kept = report.rows.map((row, i) => ({ ...row, i })).filter(({ kind }) => kind === 'answer');
  answer.replaceChildren(...kept.map(({ chooses, i, position }) => make('span', {
    role: 'option', tabindex: 0, 'data-row': i, title: `chosen at position ${whole(position)}`,
    onclick: () => set(state.row === i ? { row: -1, colour: 'answer', token: -1 } : { row: i, colour: 'answer', token: -1 }),
    onkeydown: (event) => { if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); event.target.click(); } },
  }, chooses)), report.text.answer_rest);
  const show = () => { for (const span of answer.querySelectorAll('span')) span.classList.toggle('now', Number(span.dataset.row) === state.row); };
  watch(['row'], show);
  show();
}

function startText() {
  $('question').textContent = report.text.question || 'the text, continued';
  choice($('colour'), [{ value: 'answer', name: 'Answer', title: 'where the answer, or one of its tokens, looked' }, { value: 'token', name: 'Token', title: 'where the clicked token looked' },
                       { value: 'received', name: 'Received', title: 'what later tokens gave each token' }, { value: 'entropy', name: 'Spread', title: 'how widely each token spread its attention' }],
         'colour', (value) => (value === 'token' && state.token < 0 ? { token: nPrompt - 1 } : {}));
  choice($('scope'), [{ value: 'all', name: 'All', title: 'mean of all layers' }, { value: 'layer', name: 'Layer' }, { value: 'head', name: 'Head' }], 'scope');
  cut();
  const box = $('pages');
  for (const page of pages) {
    page.element = make('div', { class: 'page' });
    page.element.style.minHeight = `${guessHeight(page)}px`;
    page.element.page = page;
  }
  box.replaceChildren(...pages.map(({ element }) => element));
  const observer = new IntersectionObserver((entries) => { for (const { target, isIntersecting } of entries) (isIntersecting ? fill : empty)(target.page); drawMinimap(); }, { root: box, rootMargin: '1200px 0px' });
  for (const { element } of pages) observer.observe(element);
  box.addEventListener('click', clickText);
  startMinimap();
  watch(['colour', 'row', 'token', 'scope', 'theme'], drawText);
  watch(['layer', 'head'], () => { if (state.scope !== 'all' || state.colour === 'token') drawText(); else $('scope').children[2].disabled = isChosen(state.layer, state.head) < 0; });
  watch(['span'], repaint);
  watch(['colour'], () => { if (state.scope === 'head' && isChosen(state.layer, state.head) < 0 && state.colour !== 'token') set({ scope: 'layer' }); });
}
