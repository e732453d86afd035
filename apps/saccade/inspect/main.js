// Exports, keys, and the start.

function save(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  make('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

const kExport = {
  png() {
    const canvas = $('map'), copy = make('canvas', { width: canvas.width, height: canvas.height }), context = copy.getContext('2d');
    context.fillStyle = variable('--panel');
    context.fillRect(0, 0, copy.width, copy.height);
    context.drawImage(canvas, 0, 0);
    copy.toBlob((blob) => save(`layer-${state.layer}-head-${state.head}.png`, blob));
  },
  svg() {
    const copy = $('overview').firstElementChild.cloneNode(true);
    for (const text of copy.querySelectorAll('text')) { text.setAttribute('fill', variable('--dim')); text.setAttribute('font-family', 'sans-serif'); text.setAttribute('font-size', '10'); }
    copy.prepend(make('title', {}, `${report.model.name}: ${metricOf(state.metric).name}`));
    save(`heads-${state.metric}.svg`, new XMLSerializer().serializeToString(copy), 'image/svg+xml');
  },
  json() { save('inspect.json', $('report').textContent, 'application/json'); },
};

function startExport() {
  const menu = $('export-menu'), button = $('export');
  const open = (yes) => { menu.hidden = !yes; button.setAttribute('aria-expanded', yes); };
  button.addEventListener('click', (event) => { event.stopPropagation(); open(menu.hidden); });
  document.addEventListener('click', () => open(false));
  menu.addEventListener('click', (event) => { const kind = event.target.dataset.export; if (kind) kExport[kind](); });
  document.addEventListener('keydown', (event) => { if (event.key === 'Escape') open(false); });
}

const kKeys = [
  ['h j k l', 'the head to the left, the layer below, above, the head to the right'], ['n p', 'the next, the previous token of the answer'], ['a', 'the whole answer'],
  ['1 2 3', 'colour the text from all layers, this layer, this head'], ['t', 'light or dark'], ['arrows + - 0', 'with the map in focus: move, zoom, all of it'],
  ['click, shift-click', 'a token: where it looked; another: the span between them, by which heads can be coloured'],
];

function startKeys() {
  const help = $('help');
  const list = make('dl');
  for (const [keys, what] of kKeys) list.append(make('dt', {}, make('kbd', {}, keys)), make('dd', {}, what));
  help.append(make('h2', {}, 'Keys'), list, make('button', { onclick: () => help.close() }, 'Close'));
  $('keys').addEventListener('click', () => help.showModal());
  const answers = report.rows.flatMap(({ kind }, i) => (kind === 'answer' ? [i] : []));
  const step = (by) => set({ row: answers[Math.min(answers.length - 1, Math.max(0, answers.indexOf(state.row) + by))], colour: 'answer', token: -1 });
  const scope = (value) => { const button = $('scope').querySelector(`[data-value=${value}]`); if (!button.disabled) button.click(); };
  const actions = {
    h: () => move(0, -1), l: () => move(0, 1), j: () => move(1, 0), k: () => move(-1, 0), n: () => step(1), p: () => step(-1),
    a: () => set({ row: -1, colour: 'answer', token: -1 }), t: () => $('theme').click(), 1: () => scope('all'), 2: () => scope('layer'), 3: () => scope('head'), '?': () => help.showModal(),
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.('select, dialog')) return;
    actions[event.key]?.();
  });
}

function start() {
  document.title = `${report.model.name}: what it looked at`;
  state.metric = kSpanMetric.key;
  startTheme();
  startOverview();
  startMap();
  startText();
  startAnswer();
  startLists();
  startProof();
  startAtlas();
  startExport();
  startKeys();
  open();
}

/** Begins with what the answer looked at most, and the head in fine detail that looked there most. */
async function open() {
  await drawText();
  const [top] = mostLooked(shown.excess, 1);
  let head = report.chosen[0];
  if (top) {
    set({ span: [top.begin, top.begin + kWindow] });
    jump(top.begin);
    const mass = await massOnSpan(state.span);
    head = report.chosen.reduce((best, one) => (mass[one.layer][one.head] > mass[best.layer][best.head] ? one : best), head);
  }
  Object.assign(state, { layer: -1, head: -1 });
  set(head);
  drawTop();
  document.documentElement.dataset.ready = 'yes';
}

start();
