#pragma once

#include "saccade/where/parts/scores.h"

namespace saccade {

// Neighbouring rows of one head as one row. Blocks lie at multiples of `block`, whatever `rows` begins with: the first
// and the last may be partial. `rows` are positions; the view's first row has position `view_begin`.

/// The mean of each block's rows, of the partial blocks too.
///
/// Shapes    [ceil(rows.end / block) - floor(rows.begin / block), view.dim]
/// Requires  view_begin <= rows.begin <= rows.end <= view_begin + view.len
/// Accuracy  f32 sums in the order of the rows
/// Cost      reads the rows once
Rows mean_of_blocks(const View& view, Pos head, Pos block, Range rows, Pos view_begin = 0);

/// `stride` neighbouring rows one after the other as one long row (or the last one first). Positions outside the view
/// are zeros, so that `rows` may begin before it and end after it.
///
/// Shapes    [ceil(rows.size() / stride), stride view.dim]
/// Source    XAttention, arXiv:2503.16428: reversed queries times keys are sums along antidiagonals
Rows strided(const View& view, Pos head, Pos stride, Range rows, bool reversed, Pos view_begin = 0);

}  // namespace saccade
