#include "saccade/where/parts/last_rows.h"

#include <algorithm>
#include <cmath>

#include "saccade/base/error.h"
#include "saccade/where/parts/scores.h"

namespace saccade {

LastRows look_at_last_rows(const SelectCall& call, int head, Pos n_rows) {
  SACCADE_ASSERT(call.q_end() <= call.k.len && call.q.len >= 1 && n_rows >= 1, "queries whose keys are there");
  LastRows out{std::min(n_rows, call.q.len), {}, {}};
  const auto size = static_cast<std::size_t>(call.k.len);
  out.column.assign(size, 0.0F);
  out.diagonal.assign(size, 0.0F);
  const Rows q = load(call.q, head, {call.q.len - out.n_rows, call.q.len});
  const Rows k = load(call.k, call.kv_head[static_cast<std::size_t>(head)], {0, call.q_end()});
  std::vector<float> scores(static_cast<std::size_t>(q.n * k.n));
  multiply(q, k, call.scale, scores.data());
  for (Pos i = 0; i < q.n; ++i) {
    const Pos q_pos = call.q_end() - q.n + i;
    const std::span row(scores.data() + i * k.n, static_cast<std::size_t>(q_pos + 1));
    if (call.softcap > 0) {
      for (float& score : row) score = call.softcap * std::tanh(score / call.softcap);
    }
    softmax(row);
    for (Pos j = 0; j <= q_pos; ++j) {
      out.column[static_cast<std::size_t>(j)] += row[static_cast<std::size_t>(j)];
      out.diagonal[static_cast<std::size_t>(q_pos - j)] += row[static_cast<std::size_t>(j)];
    }
  }
  return out;
}

}  // namespace saccade
