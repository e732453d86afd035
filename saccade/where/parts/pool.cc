#include "saccade/where/parts/pool.h"

#include <algorithm>
#include <vector>

#include "saccade/base/error.h"

namespace saccade {

Rows mean_of_blocks(const View& view, Pos head, Pos block, Range rows, Pos view_begin) {
  SACCADE_ASSERT(block > 0 && rows.begin >= view_begin && rows.end <= view_begin + view.len, "rows of the view");
  if (rows.empty()) return {0, view.dim, {}};
  const Pos first = rows.begin / block, end = (rows.end + block - 1) / block;
  Rows out{end - first, view.dim, std::vector<float>(static_cast<std::size_t>((end - first) * view.dim))};
  for (Pos u = first; u < end; ++u) {
    const Range range{std::max(rows.begin, u * block), std::min(rows.end, (u + 1) * block)};
    const Rows some = load(view, head, {range.begin - view_begin, range.end - view_begin});
    float* mean = out.row(u - first);
    for (Pos i = 0; i < some.n; ++i) {
      for (Pos c = 0; c < some.dim; ++c) mean[c] += some.row(i)[c];
    }
    for (Pos c = 0; c < some.dim; ++c) mean[c] /= static_cast<float>(some.n);
  }
  return out;
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
