#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "saccade/base/team.h"
#include "saccade/kernel/targets.h"
#include "saccade/where/parts/selection.h"
#include "tests/support/random.h"
#include "tests/support/tensor.h"

namespace saccade::testing {

/// Runs `body()` with each CPU target of this machine forced, and sets the choice free again.
template <class Body>
void on_every_cpu(const Body& body) {
  struct Free {
    ~Free() { kernel::force_target(""); }
  } free;
  for (const std::string& target : kernel::supported_targets()) {
    SCOPED_TRACE("target " + target);
    kernel::force_target(target);
    body();
  }
}

/// One call of a selector, written as what it is about. Prints itself.
struct SelectCase {
  Pos q_begin = 0, q_len = 1;
  Pos n_heads = 2, n_kv_heads = 1, head_dim = 32;
  DType q_type = DType::f32, k_type = DType::f32;
  Layout layout = Layout::kTokenMajor;
  float gain = 1.0F;  ///< of q: scores are about this large
  std::uint64_t seed = 1;

  Pos kv_len() const { return q_begin + q_len; }
};

inline std::ostream& operator<<(std::ostream& out, const SelectCase& c) {
  return out << "queries [" << c.q_begin << ", " << c.kv_len() << "), heads " << c.n_heads << "/" << c.n_kv_heads
             << ", head_dim " << c.head_dim << ", q " << name_of(c.q_type) << " k " << name_of(c.k_type) << ", gain "
             << c.gain << ", seed " << c.seed;
}

/// A case with its data: normal numbers.
class SelectProblem {
 public:
  explicit SelectProblem(const SelectCase& what)
      : c(what),
        q(c.q_type, c.q_len, c.n_heads, c.head_dim, c.layout),
        k(c.k_type, c.kv_len(), c.n_kv_heads, c.head_dim, c.layout),
        v(c.k_type, c.kv_len(), c.n_kv_heads, c.head_dim, c.layout) {
    Random random(c.seed);
    q.fill(random, c.gain);
    k.fill(random, 1.0F);
    v.fill(random, 1.0F);
    for (int head = 0; head < c.n_heads; ++head) {
      heads.push_back(head);
      kv_head.push_back(static_cast<int>(head * c.n_kv_heads / c.n_heads));
    }
  }

  /// Borrows from the problem and the team. Fall-backs are off: what is tested is the selection.
  SelectCall call(Team& team) const {
    return {.q = q.view(),
            .k = k.view(),
            .v = v.view(),
            .kv_head = kv_head,
            .heads = heads,
            .q_begin = c.q_begin,
            .scale = 1.0F / std::sqrt(static_cast<float>(c.head_dim)),
            .fallbacks = false,
            .team = &team};
  }

  /// The call for a part of the queries, as if a batch had ended there.
  static SelectCall part(SelectCall call, Range q_positions) {
    call.q.data = call.q.row(q_positions.begin - call.q_begin, 0);
    call.q.len = q_positions.size();
    call.k.len = call.v.len = q_positions.end;
    call.q_begin = q_positions.begin;
    return call;
  }

  /// All queries of a KV head's group look one way, more or less, and one key lies `size` that way: everybody who may
  /// see it scores it far above all others.
  void plant_needle(Pos k_pos, float size) {
    Random random(c.seed + 99);
    for (Pos kv = 0; kv < c.n_kv_heads; ++kv) {
      std::vector<float> way(static_cast<std::size_t>(c.head_dim));
      double square = 0.0;
      for (float& x : way) x = random.normal(), square += x * x;
      for (float& x : way) x /= static_cast<float>(std::sqrt(square));
      std::vector<float> row(way.size());
      for (std::size_t i = 0; i < row.size(); ++i) row[i] = size * way[i];
      k.set(k_pos, kv, row);
      for (Pos i = 0; i < c.q_len; ++i) {
        for (Pos head = 0; head < c.n_heads; ++head) {
          if (kv_head[static_cast<std::size_t>(head)] != kv) continue;
          for (std::size_t n = 0; n < row.size(); ++n) row[n] = 8.0F * way[n] + 0.1F * random.normal();
          q.set(i, head, row);
        }
      }
    }
  }

  SelectCase c;
  Tensor q, k, v;
  std::vector<int> kv_head, heads;
};

}  // namespace saccade::testing
