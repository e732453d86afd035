#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "saccade/where/none.h"
#include "saccade/where/sink.h"
#include "saccade/where/window.h"
#include "tests/laws/where_laws.h"
#include "tests/support/attend_case.h"

namespace saccade::testing {

inline constexpr DType kQTypes[] = {DType::f32, DType::f16, DType::bf16};
inline constexpr DType kKvTypes[] = {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0};

struct NamedWhere {
  std::string name;
  WherePtr where;
};

inline const std::vector<NamedWhere>& patterns() {
  static const WherePtr dense = make_where(where::Dense{}), window = make_where(where::Window{50}),
                        sink = make_where(where::Sink{4}), thirds = make_where(Thirds{}),
                        hundreds = make_where(Hundreds{});
  static const std::vector<NamedWhere> all{{"dense", dense},
                                           {"window(50)", window},
                                           {"window(1)", make_where(where::Window{1})},
                                           {"window(200)", make_where(where::Window{200})},
                                           {"sink(4)", sink},
                                           {"window(50)+sink(4)", unite({window, sink})},
                                           {"thirds", thirds},
                                           {"hundreds", hundreds},
                                           {"hundreds+window(50)", unite({hundreds, window})},
                                           {"hundreds&dense", intersect({hundreds, dense})},
                                           {"thirds&window(50)+sink(4)", unite({intersect({thirds, window}), sink})},
                                           {"none", make_where(where::None{})}};
  return all;
}

inline void use(AttendCase& c, const NamedWhere& pattern) { c.where_name = pattern.name, c.where = {pattern.where}; }

/// Everything that is not the point of a test, drawn anew from its seed.
inline AttendCase any_case(std::uint64_t seed) {
  Random random(seed * 7919);
  AttendCase c{.seed = seed};
  c.q_len = random.pick<Pos>({1, 1, 2, 3, 5, 8, 13, 31, 48, 49, 97});
  c.kv_len = random.pick<Pos>({7, 64, 65, 127, 128, 129, 257, 331, 1009});
  c.n_kv_heads = random.between(1, 3);
  c.n_heads = c.n_kv_heads * random.pick<Pos>({1, 2, 3, 7, 8});
  c.head_dim = random.pick<Pos>({32, 64, 64, 96, 128, 128, 256, 576});
  if (random.one_in(3)) c.head_dim_v = random.pick<Pos>({32, 64, 128, 192, 512});
  c.q_type = kQTypes[random.between(0, 2)];
  c.k_type = kKvTypes[random.between(0, 4)];
  c.v_type = random.one_in(2) ? c.k_type : kKvTypes[random.between(0, 4)];
  const auto layout = [&] { return random.pick({Layout::kTokenMajor, Layout::kHeadMajor, Layout::kPadded}); };
  c.q_layout = layout(), c.kv_layout = layout(), c.o_layout = layout();
  use(c, patterns()[static_cast<std::size_t>(random.between(0, 5))]);
  c.softcap = random.pick({0.0F, 0.0F, 5.0F, 50.0F});
  c.gain = random.pick({1.0F, 1.0F, 4.0F, 30.0F});
  c.sink_scores = random.one_in(3);
  c.team = random.pick({1, 2, 3});
  c.most_rows = 24;
  return c;
}

/// Quantised rows come in blocks.
inline void fit_types(AttendCase& c) {
  if (c.head_dim % block_len(c.k_type) != 0) c.k_type = DType::f16;
  if (c.v_dim() % block_len(c.v_type) != 0) c.v_type = DType::bf16;
}

}  // namespace saccade::testing
