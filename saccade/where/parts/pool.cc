#include "saccade/where/parts/pool.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "saccade/base/error.h"
#include "saccade/kernel/score.h"

namespace saccade {
namespace {

/// Calls `pool(out_row, block's rows)` for each block that `rows` touches.
template <class Pool>
Rows pool_blocks(const View& view, Pos head, Pos block, Range rows, Pos view_begin, Pos out_dim, const Pool& pool) {
  SACCADE_ASSERT(block > 0 && rows.begin >= view_begin && rows.end <= view_begin + view.len, "rows of the view");
  if (rows.empty()) return {0, out_dim, {}};
  const Pos first = rows.begin / block, end = (rows.end + block - 1) / block;
  Rows out{end - first, out_dim, std::vector<float>(static_cast<std::size_t>((end - first) * out_dim))};
  for (Pos u = first; u < end; ++u) {
    const Range some{std::max(rows.begin, u * block), std::min(rows.end, (u + 1) * block)};
    pool(out.row(u - first), load(view, head, {some.begin - view_begin, some.end - view_begin}));
  }
  return out;
}

}  // namespace

Rows mean_of_blocks(const View& view, Pos head, Pos block, Range rows, Pos view_begin) {
  return pool_blocks(view, head, block, rows, view_begin, view.dim, [](float* mean, const Rows& some) {
    for (Pos i = 0; i < some.n; ++i) {
      for (Pos c = 0; c < some.dim; ++c) mean[c] += some.row(i)[c];
    }
    for (Pos c = 0; c < some.dim; ++c) mean[c] /= static_cast<float>(some.n);
  });
}

Rows bounds_of_blocks(const View& view, Pos head, Pos block, Range rows, Pos view_begin) {
  return pool_blocks(view, head, block, rows, view_begin, 2 * view.dim, [](float* low, const Rows& some) {
    float* high = low + some.dim;
    std::fill_n(low, some.dim, std::numeric_limits<float>::infinity());
    std::fill_n(high, some.dim, -std::numeric_limits<float>::infinity());
    for (Pos i = 0; i < some.n; ++i) {
      for (Pos c = 0; c < some.dim; ++c) {
        low[c] = std::min(low[c], some.row(i)[c]);
        high[c] = std::max(high[c], some.row(i)[c]);
      }
    }
  });
}

void bound_scores(const float* q, const Rows& bounds, Range blocks, float* out) {
  SACCADE_ASSERT(blocks.begin >= 0 && blocks.end <= bounds.n, "blocks that have bounds");
  kernel::bound_rows(q, bounds.row(blocks.begin), static_cast<int>(blocks.size()), static_cast<int>(bounds.dim / 2),
                     out);
}

Rows strided(const View& view, Pos head, Pos stride, Range rows, bool reversed, Pos view_begin) {
  SACCADE_ASSERT(stride > 0, "a stride of at least one row");
  const Pos n = (rows.size() + stride - 1) / stride, dim = view.dim;
  if (!reversed && rows.begin >= view_begin && rows.end <= view_begin + view.len) {  // they follow one another already
    Rows out = load(view, head, {rows.begin - view_begin, rows.end - view_begin});
    out.values.resize(static_cast<std::size_t>(n * stride * dim));
    return {n, stride * dim, std::move(out.values)};
  }
  Rows out{n, stride * dim, std::vector<float>(static_cast<std::size_t>(n * stride * dim))};
  const Range there{std::max(rows.begin, view_begin), std::min(rows.end, view_begin + view.len)};
  if (there.empty()) return out;
  const Rows some = load(view, head, {there.begin - view_begin, there.end - view_begin});
  for (Pos pos = there.begin; pos < there.end; ++pos) {
    const Pos i = pos - rows.begin, place = reversed ? stride - 1 - i % stride : i % stride;
    std::copy_n(some.row(pos - there.begin), dim, out.row(i / stride) + place * dim);
  }
  return out;
}

}  // namespace saccade
