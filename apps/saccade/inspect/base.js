// The document, its packed arrays, and what all views share.

const report = JSON.parse(document.getElementById('report').textContent);
const { n_layers: nLayers, n_heads: nHeads } = report.model;
const { n_prompt: nPrompt, n_tokens: nTokens } = report.text;

const $ = (id) => document.getElementById(id);

/** An element with attributes and children; strings become text, never markup. */
function make(name, attributes = {}, ...children) {
  const svg = ['svg', 'rect', 'text', 'g', 'title', 'circle'].includes(name);
  const element = svg ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value !== false && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** What is chosen now. Views name the keys they depend on and are called when one of them changes. */
const state = { layer: 0, head: 0, row: -1, token: -1, colour: 'answer', scope: 'all', metric: '', along: 'entropy', span: null };
const watchers = [];
function watch(keys, view) { watchers.push({ keys, view }); }
function set(changes) {
  const changed = Object.keys(changes).filter((key) => state[key] !== changes[key]);
  Object.assign(state, changes);
  for (const { keys, view } of watchers) if (keys.some((key) => changed.includes(key))) view();
}

// --- packed arrays: bytes, zlib, base64 ---

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; ++i) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** The bytes of a packed array, inflated once. */
function unpack(packed) {
  packed.bytes ??= (async () => {
    const stream = new Blob([bytesOf(packed.zlib)]).stream().pipeThrough(new DecompressionStream('deflate'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  })();
  return packed.bytes;
}

/** What each of the 256 codes of a packed array stands for. */
function meaning(packed) {
  if (packed.values) return packed.values;
  const values = new Float32Array(256);
  for (let code = 0; code < 256; ++code) {
    if (packed.code === 'log2') values[code] = code === 0 ? 0 : 2 ** ((code - 255) / packed.steps);
    else if (packed.code === 'log2(1+x)') values[code] = 2 ** (code / packed.steps) - 1;
    else values[code] = code / packed.steps;
  }
  packed.values = values;
  return values;
}

/** Row `row` of a packed [rows, length] array as numbers. */
async function numbers(packed, row = 0) {
  const bytes = await unpack(packed), values = meaning(packed), length = packed.shape[packed.shape.length - 1];
  const out = new Float32Array(length);
  for (let i = 0; i < length; ++i) out[i] = values[bytes[row * length + i]];
  return out;
}

// --- words and numbers ---

const whole = (value) => Math.round(value).toLocaleString('en-US');

function percent(value) {
  if (!(value > 0)) return '0 %';
  if (value >= 0.9995) return '100 %';
  return value < 0.0001 ? `${(value * 100).toExponential(1)} %` : `${(value * 100).toPrecision(value < 0.01 ? 2 : 3)} %`;
}

function short(value) {
  if (value === 0) return '0';
  const size = Math.abs(value);
  return size >= 1000 ? whole(value) : size >= 0.01 ? String(+value.toPrecision(3)) : value.toExponential(1);
}

/** A token's text made visible on one line. */
const visible = (position) => (report.pieces[position] ?? '').replace(/\n/g, '⏎').replace(/\t/g, '⇥');

/** Token `position` between its neighbours: [before, it, after], at most `width` characters to each side. */
function around(position, width = 34) {
  let before = '', after = '';
  for (let i = position - 1; i >= 0 && before.length < width; --i) before = visible(i) + before;
  for (let i = position + 1; i < nTokens && after.length < width; ++i) after += visible(i);
  return [before.slice(-width), visible(position), after.slice(0, width)];
}

function aroundElement(role, position, width) {
  const [before, it, after] = around(position, width);
  return make('span', { class: 'around' }, make('span', { class: 'role' }, role),
              make('span', { class: 'at' }, whole(position)), make('q', {}, before, make('b', {}, it || '·'), after));
}

const isChosen = (layer, head) => report.chosen.findIndex((one) => one.layer === layer && one.head === head);

/** A row of buttons of which one is on. */
function choice(box, options, key, also = () => ({})) {
  box.replaceChildren(...options.map(({ value, name, title }) => make('button', {
    role: 'radio', 'data-value': value, title, onclick: () => set({ [key]: value, ...also(value) }),
  }, name)));
  const show = () => { for (const button of box.children) button.setAttribute('aria-checked', button.dataset.value === state[key]); };
  watch([key], show);
  show();
}
