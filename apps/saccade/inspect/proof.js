// What `--prove retrieval` found: every planted fact asked for with all heads, without the top ones, without others.

const kProofRuns = [
  { found: 'found', answer: 'answer', name: () => 'all heads' },
  { found: 'found_top_masked', answer: 'answer_top_masked', name: ({ top }) => `top ${top.length} retrieval heads masked` },
  { found: 'found_random_masked', answer: 'answer_random_masked', name: ({ random }) => `${random.length} random others masked` },
];

/** What became of one fact in one run, in words. */
function proofCellSays({ needles }, run, at) {
  const one = needles[at];
  return [make('b', {}, `${percent(one.depth)} into the text`), ` ${one.question} `, make('span', { class: 'dim' }, `${one.secret} is right, answered: `),
          make('q', {}, one[run.answer].trim() || '(nothing)')];
}

function proofTable(proof) {
  const says = $('proof-says'), cells = [];
  const show = (row, column) => says.replaceChildren(...proofCellSays(proof, kProofRuns[row], column));
  const focus = (row, column) => {
    for (const cell of cells.flat()) cell.tabIndex = -1;
    cells[row][column].tabIndex = 0;
    cells[row][column].focus();
  };
  const keys = (event, row, column) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    focus(Math.min(2, Math.max(0, row + step[0])), Math.min(proof.needles.length - 1, Math.max(0, column + step[1])));
  };
  const rows = kProofRuns.map((run, row) => {
    cells[row] = proof.needles.map((needle, column) => make('button', {
      class: needle[run.found] ? 'yes' : 'no', tabindex: row + column === 0 ? 0 : -1, 'data-run': run.found, 'data-needle': column,
      'aria-label': `${run.name(proof)}, fact ${percent(needle.depth)} into the text: ${needle[run.found] ? 'found' : 'lost'}`,
      onfocus: () => show(row, column), onmouseenter: () => show(row, column), onkeydown: (event) => keys(event, row, column),
      onclick: () => { show(row, column); set({ span: [needle.begin, needle.end], metric: kSpanMetric.key }); jump(needle.begin); },
    }, needle[run.found] ? '✓' : '✗'));
    return make('tr', {}, make('th', { scope: 'row' }, run.name(proof)), ...cells[row].map((cell) => make('td', {}, cell)),
                make('td', { class: 'sum' }, make('b', {}, String(proof[run.found])), ` of ${proof.n_needles}`));
  });
  const depths = proof.needles.map(({ depth }) => make('th', { scope: 'col' }, `${Math.round(100 * depth)} %`));
  return make('table', {}, make('thead', {}, make('tr', {}, make('th', { scope: 'col' }, 'fact planted at'), ...depths, make('th', { scope: 'col', class: 'sum' }, 'found'))),
              make('tbody', {}, ...rows));
}

function proofHeads(heads, says) {
  return heads.map((one) => make('button', { 'data-head': `${one.layer}.${one.head}`, title: says(one), onclick: () => set({ layer: one.layer, head: one.head }) },
                                 `${one.layer}.${one.head}`, one.score === undefined ? '' : make('span', { class: 'dim' }, ` ${one.score.toFixed(2)}`)));
}

/** Marks in the overview: a filled dot for a masked top head, an empty one for a masked other. */
function markProof(svg) {
  if (!report.proof) return;
  for (const [kind, heads] of [['top', report.proof.top], ['other', report.proof.random]]) {
    for (const { layer, head } of heads) {
      svg.append(make('circle', { class: `masked ${kind}`, fill: kind === 'top' ? variable('--mark') : 'none', stroke: variable('--mark'), cx: kEdge.left + (head + 0.5) * cell.width, cy: kEdge.top + (layer + 0.5) * cell.height, r: Math.max(1.5, Math.min(cell.width, cell.height) / 5) }));
    }
  }
}

function startProof() {
  const { proof } = report;
  if (!proof) return $('proof').remove();
  const shown = proof.needles[proof.shown], kept = proof.found > proof.found_top_masked;
  $('proof-note').textContent = `${proof.n_needles} facts planted in ${whole(proof.n_prompt)} tokens, each asked for three times over the same keys and values. ` +
    `${kept ? 'The heads that copy a fact are the ones that find it' : 'Masking the heads that copy facts loses none'}: ${proof.found} found with all heads, ${proof.found_top_masked} without the top ${proof.top.length}, ${proof.found_random_masked} without as many others. ` +
    `Masked by ${proof.edit}, behind the text; ${proof.n_retrieval_heads} of ${proof.n_heads} heads score 0.1 or more. This report shows the question for the fact at ${percent(shown.depth)}.`;
  $('proof-table').replaceChildren(proofTable(proof));
  $('proof-says').textContent = 'Point at a mark, or walk through them with the arrow keys, for the question and what was answered.';
  $('proof-top').replaceChildren(...proofHeads(proof.top, ({ score, n_most_looked: n }) => `copied ${percent(score)} of the secrets' tokens; ${n} of ${proof.found} facts were what the answer's first token looked at most`));
  $('proof-random').replaceChildren(...proofHeads(proof.random, () => 'drawn at random from the heads that copy next to nothing'));
}
