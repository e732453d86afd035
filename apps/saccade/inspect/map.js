// One head's map: queries down, keys across, block means on a log scale, text on both axes. A pyramid: what is drawn are
// blocks of about a pixel or more, down to the finest that are kept, and of kept queries the very weights.

/** A lower triangle of codes: { size, bytes, offset, values }; rows of 1, 2, ... size codes. */
async function smallMap(layer, head) {
  const packed = report.maps.layers[layer], size = report.maps.size;
  return { size, bytes: await unpack(packed), offset: head * size * (size + 1) / 2, values: meaning(packed) };
}

async function finestMap(layer, head) {
  const chosen = isChosen(layer, head);
  if (chosen < 0) return smallMap(layer, head);
  const packed = report.large.heads[chosen];
  return { size: report.large.size, bytes: await unpack(packed), offset: 0, values: meaning(packed) };
}

/** Queries of a block of a map of `size`. */
const queriesOf = (size, row) => Math.ceil((row + 1) * nPrompt / size) - Math.ceil(row * nPrompt / size);

/** A map of half as many blocks: the masses of two neighbours add up, of two rows of queries the mean is taken. */
function halved(map) {
  const size = map.size / 2, masses = new Float32Array(size * (size + 1) / 2);
  for (let row = 0, at = 0; row < size; ++row) {
    const upper = queriesOf(map.size, 2 * row), lower = queriesOf(map.size, 2 * row + 1), all = Math.max(1, upper + lower);
    for (let column = 0; column <= row; ++column, ++at) {
      const above = massAt(map, 2 * row, 2 * column) + massAt(map, 2 * row, 2 * column + 1);
      const below = massAt(map, 2 * row + 1, 2 * column) + massAt(map, 2 * row + 1, 2 * column + 1);
      masses[at] = (upper * above + lower * below) / all;
    }
  }
  return { size, masses, key: `${map.key ?? map.offset} ${size}`, pictures: {} };
}

/** The map and what can be halved of it, finest first. */
function levels(map) {
  const all = map.bytes.levels ??= {};
  return all[map.offset] ??= (() => {
    const made = [map];
    while (made[made.length - 1].size % 2 === 0 && made[made.length - 1].size >= 128) made.push(halved(made[made.length - 1]));
    return made;
  })();
}

/** The coarsest level whose blocks are no wider than a pixel and a half of the screen, else the finest. */
function levelInView(map) {
  const ratio = window.devicePixelRatio || 1, fits = (one) => view.scale * nPrompt / one.size * ratio <= 1.5;
  return levels(map).filter(fits).pop() ?? map;
}

/** The mass of a block; none beyond the diagonal. */
function massAt(map, row, column) {
  if (column > row) return 0;
  const at = row * (row + 1) / 2 + column;
  return map.masses ? map.masses[at] : map.values[map.bytes[map.offset + at]];
}

/** Mass of one block of keys. Equal attention gives 1 / size at the end of the text; three octaves less are white. */
const mapScale = (map) => scaleOf(1 / (8 * map.size), 1, true, percent);

/** The map as a canvas of size x size pixels, made once for each theme. */
function picture(map) {
  const made = map.pictures ?? (map.bytes.pictures ??= {}), key = `${map.offset} ${dark()}`;
  if (made[key]) return made[key];
  const canvas = make('canvas', { width: map.size, height: map.size }), context = canvas.getContext('2d');
  const image = context.createImageData(map.size, map.size), pixels = new Uint32Array(image.data.buffer);
  const scale = mapScale(map), colours = new Uint32Array(256);
  for (let i = 0; i < 256; ++i) {
    const [r, g, b] = shade(0.03 + 0.97 * (map.masses ? i / 255 : scale.of(map.values[i])));
    colours[i] = (255 << 24 | b << 16 | g << 8 | r) >>> 0;
  }
  const colourAt = map.masses ? (at) => colours[Math.round(255 * scale.of(map.masses[at]))] : (at) => colours[map.bytes[map.offset + at]];
  for (let row = 0, at = 0; row < map.size; ++row) {
    for (let column = 0; column <= row; ++column) pixels[row * map.size + column] = colourAt(at++);
  }
  context.putImageData(image, 0, 0);
  return made[key] = canvas;
}

const kMargin = { left: 148, bottom: 92, top: 6, right: 6 };
let axis = 92;  // what is left below the plot
/** What the canvas shows: the token at its upper left corner, and CSS pixels a token. */
const view = { x: 0, y: 0, scale: 0, pointer: null };
let current = null, shownLevel = null;
const kTokenPixels = 4;  // of a token, from which on single ones are drawn

function plotSize() {
  const box = $('map').getBoundingClientRect(), width = box.width - kMargin.left - kMargin.right;
  axis = Math.min(170, Math.max(kMargin.bottom, box.height - kMargin.top - width));
  return { width, height: box.height - kMargin.top - axis };
}

const homeScale = () => { const { width, height } = plotSize(); return Math.min(width, height) / nPrompt; };

function home() {
  Object.assign(view, { x: 0, y: 0, scale: homeScale() });
  drawMap();
}

/** Zooms about a point of the plot, in CSS pixels. */
function zoom(factor, px, py) {
  const old = view.scale, most = Math.max(48, 4 * homeScale());
  view.scale = Math.min(most, Math.max(homeScale(), old * factor));
  view.x += px / old - px / view.scale;
  view.y += py / old - py / view.scale;
  pan(0, 0);
}

function pan(dx, dy) {
  const { width, height } = plotSize();
  const clamp = (at, length) => Math.min(Math.max(0, nPrompt - length / view.scale), Math.max(0, at));
  view.x = clamp(view.x - dx / view.scale, width);
  view.y = clamp(view.y - dy / view.scale, height);
  drawMap();
}

/** Text along an axis: from tick to tick, as much of the text as fits. */
function words(position, width) {
  let text = '';
  for (let i = position; i < nPrompt && text.length < width; ++i) text += visible(i);
  return text.trimStart().slice(0, width);
}

function drawAxes(context, plot) {
  const ink = variable('--ink'), dim = variable('--dim');
  const step = Math.max(1, Math.ceil(15 / view.scale)), one = step === 1;
  context.font = `11px ${variable('--serif')}`;
  context.textBaseline = 'middle';
  const last = (from, length) => Math.min(nPrompt, from + length / view.scale);
  for (let at = Math.ceil(view.y / step) * step; at + step / 2 < last(view.y, plot.height); at += step) {
    const y = kMargin.top + (at + (one ? 0.5 : 0) - view.y) * view.scale;
    context.textAlign = 'right';
    context.fillStyle = one && view.pointer?.query === at ? variable('--mark') : ink;
    context.fillText(one ? visible(at) : words(at, 15), kMargin.left - 8, y + (one ? 0 : 6), 96);
    if (one || (at / step) % 4 === 0) {
      context.textAlign = 'left';
      context.fillStyle = dim;
      context.fillText(whole(at), 0, y + (one ? 0 : 6));
    }
  }
  const bottom = kMargin.top + Math.min(plot.height, (nPrompt - view.y) * view.scale);
  for (let at = Math.ceil(view.x / step) * step; at + step / 2 < last(view.x, plot.width); at += step) {
    const x = kMargin.left + (at + (one ? 0.5 : 0) - view.x) * view.scale;
    context.save();
    context.translate(x + (one ? 0 : 6), bottom + 8);
    context.rotate(-Math.PI / 2);
    context.textAlign = 'right';
    context.fillStyle = one && view.pointer?.key === at ? variable('--mark') : ink;
    context.fillText(one ? visible(at) : words(at, Math.floor((axis - 14) / 6)), 0, 0, axis - 14);
    context.restore();
  }
}

function drawMap() {
  if (!current) return;
  const { context, width, height } = fitted($('map')), plot = plotSize();
  if (!(plot.width > 0 && plot.height > 0)) return;
  const level = levelInView(current), perBlock = nPrompt / level.size, source = picture(level);
  if (level !== shownLevel) showLevel(level);
  const across = Math.min(plot.width, nPrompt * view.scale), down = Math.min(plot.height, nPrompt * view.scale);
  context.imageSmoothingEnabled = view.scale * perBlock < 1;
  context.imageSmoothingQuality = 'high';
  context.drawImage(source, view.x / perBlock, view.y / perBlock, across / view.scale / perBlock, down / view.scale / perBlock,
                    kMargin.left, kMargin.top, across, down);
  drawKept(context, across, down);
  drawAxes(context, plot);
  drawMarks(context, across, down);
  drawPlace(context, width, height);
}

/** Close enough to tell tokens apart, the kept rows of a head in fine detail: not blocks, but what each token got. */
function drawKept(context, across, down) {
  if (!current.rows || view.scale < kTokenPixels) return;
  const scale = mapScale({ size: nPrompt }), values = meaning(current.rows.packed);
  const first = Math.max(0, Math.floor(view.x)), end = Math.min(nPrompt, Math.ceil(view.x + across / view.scale));
  context.save();
  context.beginPath();
  context.rect(kMargin.left, kMargin.top, across, down);
  context.clip();
  report.rows.forEach(({ position }, i) => {
    const top = kMargin.top + (position - view.y) * view.scale;
    if (position >= nPrompt || top + view.scale < kMargin.top || top > kMargin.top + down) return;
    for (let key = first; key < Math.min(end, position + 1); ++key) {
      context.fillStyle = css(shade(0.03 + 0.97 * scale.of(values[current.rows.bytes[i * nTokens + key]])));
      context.fillRect(kMargin.left + (key - view.x) * view.scale, top, view.scale + 0.5, view.scale + 0.5);
    }
    context.strokeStyle = variable('--mark');
    context.lineWidth = 1;
    context.strokeRect(kMargin.left + (first - view.x) * view.scale, top, (Math.min(end, position + 1) - first) * view.scale, view.scale);
  });
  context.restore();
}

/** The pointer's cross and the clicked token's row. */
function drawMarks(context, across, down) {
  const line = (x0, y0, x1, y1) => { context.beginPath(); context.moveTo(x0, y0); context.lineTo(x1, y1); context.stroke(); };
  const row = (at) => kMargin.top + (at + 0.5 - view.y) * view.scale, column = (at) => kMargin.left + (at + 0.5 - view.x) * view.scale;
  if (view.pointer) {
    context.strokeStyle = variable('--dim');
    context.lineWidth = 0.75;
    line(kMargin.left, row(view.pointer.query), kMargin.left + across, row(view.pointer.query));
    line(column(view.pointer.key), kMargin.top, column(view.pointer.key), kMargin.top + down);
  }
  if (state.token >= 0 && state.token < nPrompt && row(state.token) >= kMargin.top && row(state.token) <= kMargin.top + down) {
    context.fillStyle = variable('--mark');
    context.fillRect(kMargin.left - 5, row(state.token) - 1, 5, 2);
  }
}

/** Zoomed in, a small square says which part of the map this is. */
function drawPlace(context, width) {
  if (view.scale < homeScale() * 1.05) return;
  const side = 64, left = width - side - 12, top = 14, plot = plotSize(), part = side / nPrompt;
  context.fillStyle = variable('--panel');
  context.strokeStyle = variable('--line');
  context.lineWidth = 1;
  context.fillRect(left - 4, top - 4, side + 8, side + 8);
  context.strokeRect(left - 4, top - 4, side + 8, side + 8);
  context.fillStyle = variable('--line');
  context.beginPath();
  context.moveTo(left, top);
  context.lineTo(left + side, top + side);
  context.lineTo(left, top + side);
  context.fill();
  context.strokeStyle = variable('--mark');
  context.lineWidth = 1.5;
  context.strokeRect(left + view.x * part, top + view.y * part, Math.max(3, Math.min(nPrompt, plot.width / view.scale) * part),
                     Math.max(3, Math.min(nPrompt, plot.height / view.scale) * part));
}

function pointed(event) {
  const box = $('map').getBoundingClientRect();
  const px = event.clientX - box.left - kMargin.left, py = event.clientY - box.top - kMargin.top;
  const key = Math.floor(view.x + px / view.scale), query = Math.floor(view.y + py / view.scale);
  return { px, py, key, query, inside: px >= 0 && py >= 0 && key >= 0 && query >= 0 && key < nPrompt && query < nPrompt };
}

function showPointer(at) {
  view.pointer = at?.inside ? at : null;
  drawMap();
  const facts = $('map-facts');
  if (!view.pointer || !current) {
    facts.replaceChildren(make('span', { class: 'dim' }, mapSays()));
    return;
  }
  const level = levelInView(current), block = (position) => Math.min(level.size - 1, Math.floor(position * level.size / nPrompt));
  const mass = massAt(level, block(at.query), block(at.key)), kept = keptWeight(at);
  const line = at.key > at.query && block(at.key) > block(at.query) ? make('span', { class: 'dim' }, 'a query sees no later key')
    : make('span', {}, make('b', {}, percent(kept ?? mass)), make('span', { class: 'dim' }, kept !== null ? ` of this very token's attention, ${short(kept * (at.query + 1))} × an equal share`
      : ` of the block's attention, ${short(mass * (at.query + 1) / (nPrompt / level.size))} × an equal share`));
  facts.replaceChildren(line, aroundElement('query', at.query), aroundElement('key', at.key));
}

/** What is drawn, in words. */
function mapSays() {
  const level = levelInView(current), fine = current.rows ? ` Kept queries are framed: every token, exactly.` : '';
  return `Every block is ${short(nPrompt / level.size)} tokens wide and shows the share of its queries' attention that its keys get. Point at it, or zoom.${view.scale >= kTokenPixels ? fine : ''}`;
}

/** The weight that a kept query gives the very key, where that is drawn; else null. */
function keptWeight({ query, key }) {
  const row = current.rows && view.scale >= kTokenPixels && key <= query ? rowAt(query) : -1;
  return row < 0 ? null : meaning(current.rows.packed)[current.rows.bytes[row * nTokens + key]];
}

/** The scale of the level in view, and which one it is. */
function showLevel(level) {
  shownLevel = level;
  const coarse = current.size === report.maps.size && report.large.size !== report.maps.size;
  legend($('map-legend'), mapScale(level), `${level.size} × ${level.size}${level.size < current.size ? ` of ${current.size} × ${current.size}` : ''} blocks${coarse ? ', coarse: fine heads are in the list above' : ''}`);
  if (!view.pointer) $('map-facts').replaceChildren(make('span', { class: 'dim' }, mapSays()));
}

async function loadMap() {
  const { layer, head } = state, map = await finestMap(layer, head), chosen = isChosen(layer, head), packed = report.looked.heads[chosen];
  const rows = packed ? { packed, bytes: await unpack(packed) } : null;
  if (layer !== state.layer || head !== state.head) return;
  current = { ...map, rows };
  shownLevel = null;
  $('map-title').textContent = `Layer ${layer}, head ${head}`;
  $('chosen').value = String(isChosen(layer, head));
  if (!(view.scale > 0)) home();
  else drawMap();
  showPointer(null);
}

function mapKeys(event) {
  const plot = plotSize(), step = plot.width / 8, centre = [plot.width / 2, plot.height / 2];
  const action = {
    ArrowLeft: () => pan(step, 0), ArrowRight: () => pan(-step, 0), ArrowUp: () => pan(0, step), ArrowDown: () => pan(0, -step),
    '+': () => zoom(1.5, ...centre), '=': () => zoom(1.5, ...centre), '-': () => zoom(1 / 1.5, ...centre), 0: home,
  }[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function startMap() {
  const canvas = $('map');
  let drag = null;
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    const { px, py } = pointed(event);
    zoom(2 ** (-event.deltaY / 240), px, py);
  }, { passive: false });
  canvas.addEventListener('pointerdown', (event) => { drag = { x: event.clientX, y: event.clientY, moved: false }; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener('pointermove', (event) => {
    if (!drag) return showPointer(pointed(event));
    if (Math.abs(event.clientX - drag.x) + Math.abs(event.clientY - drag.y) > 3) drag.moved = true;
    if (drag.moved) { pan(event.clientX - drag.x, event.clientY - drag.y); Object.assign(drag, { x: event.clientX, y: event.clientY }); }
  });
  canvas.addEventListener('pointerup', (event) => {
    const at = pointed(event);
    if (drag && !drag.moved && at.inside) { lookFrom(at.query, 'head'); jump(at.key); }
    drag = null;
  });
  canvas.addEventListener('pointerleave', () => showPointer(null));
  canvas.addEventListener('dblclick', (event) => { const { px, py } = pointed(event); zoom(3, px, py); });
  canvas.addEventListener('keydown', mapKeys);
  $('chosen').append(make('option', { value: '-1', disabled: 'disabled' }, 'fine heads'),
                     ...report.chosen.map(({ layer, head }, i) => make('option', { value: i }, `${layer}.${head}`)));
  $('chosen').addEventListener('change', () => set(report.chosen[Number($('chosen').value)]));
  let width = 0;
  new ResizeObserver(() => {
    const whole = width !== 0 && view.scale > 0 && Math.abs(view.scale - width) < 1e-9;
    width = homeScale();
    if (whole || !(view.scale > width)) home(); else pan(0, 0);
  }).observe(canvas);
  watch(['layer', 'head', 'theme'], loadMap);
  watch(['token'], drawMap);
}
