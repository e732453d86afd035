#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "saccade/where/dense.h"
#include "saccade/where/none.h"
#include "saccade/where/sink.h"
#include "saccade/where/where.h"
#include "saccade/where/window.h"
#include "tests/support/random.h"
#include "tests/support/thorough.h"

namespace saccade::testing {

/// Irregular on purpose: every third key in step with the query, nothing after it, and never a full visit.
struct Thirds {
  bool admits(Pos q_pos, Pos k_pos) const { return k_pos <= q_pos && (q_pos - k_pos) % 3 == 0; }
  void visits(Range q_block, VisitList& out) const {
    out.clear();
    if (q_block.end > 0) out.push_back({{0, q_block.end}, false});
  }
};

/// Everybody sees the even hundreds, past and future up to key 1000: full visits with holes between them.
struct Hundreds {
  bool admits(Pos, Pos k_pos) const { return k_pos < 1000 && k_pos / 100 % 2 == 0; }
  void visits(Range, VisitList& out) const {
    out.clear();
    for (Pos begin = 0; begin < 1000; begin += 200) out.push_back({{begin, begin + 100}, true});
  }
};

namespace detail {

inline std::string print(const VisitList& list) {
  std::ostringstream out;
  for (const Visit& visit : list) {
    out << " [" << visit.keys.begin << ", " << visit.keys.end << ")" << (visit.full ? " full" : "");
  }
  return list.empty() ? " none" : out.str();
}

struct FieldPrinter {
  std::ostringstream& out;
  void operator()(const char* name, const auto& value, const auto&...) { out << " " << name << "=" << value; }
};

/// The parameters of a mechanism as its `fields` name them.
template <class M>
std::string print(M mechanism) {
  std::ostringstream out;
  FieldPrinter printer{out};
  if constexpr (requires { mechanism.fields(printer); }) mechanism.fields(printer);
  return out.str();
}

/// All keys that could matter when positions are small; near the visits' ends, the queries and zero when they are not.
inline std::vector<Pos> keys_to_ask(Range q_block, const VisitList& list, Random& random) {
  Pos end = q_block.end + 70;
  for (const Visit& visit : list) end = std::max(end, visit.keys.end + 3);
  std::vector<Pos> keys;
  if (end <= 1500) {
    for (Pos key = 0; key < end; ++key) keys.push_back(key);
    return keys;
  }
  const auto around = [&](Pos at, Pos reach) {
    for (Pos key = std::max<Pos>(0, at - reach); key <= at + reach; ++key) keys.push_back(key);
  };
  around(0, 70);
  around(q_block.begin, 3);
  around(q_block.end, 3);
  for (const Visit& visit : list) around(visit.keys.begin, 3), around(visit.keys.end, 3);
  for (int n = 0; n < 200; ++n) keys.push_back(random.between(0, end));
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

/// mask() == admits() on this range, nothing else set in the last word, nothing written behind it.
inline ::testing::AssertionResult mask_holds(const Where& where, Pos q_pos, Range keys) {
  constexpr std::uint32_t kGarbage = 0xDEADBEEF;
  const auto n_words = static_cast<std::size_t>((keys.size() + 31) / 32);
  std::vector<std::uint32_t> words(n_words + 1, kGarbage);
  where.mask(q_pos, keys, words.data());
  if (words[n_words] != kGarbage) return ::testing::AssertionFailure() << "mask wrote behind its last word";
  for (std::size_t bit = 0; bit < n_words * 32; ++bit) {
    const Pos key = keys.begin + static_cast<Pos>(bit);
    const bool expected = key < keys.end && where.admits(q_pos, key);
    if (((words[bit / 32] >> (bit % 32)) & 1U) != (expected ? 1U : 0U)) {
      return ::testing::AssertionFailure() << "mask of query " << q_pos << " over [" << keys.begin << ", " << keys.end
                                           << "): bit " << bit << " should be " << (expected ? "set" : "clear");
    }
  }
  return ::testing::AssertionSuccess();
}

/// The laws of one block of queries.
inline ::testing::AssertionResult block_holds(const Where& where, Range q_block, Random& random) {
  VisitList list(7, Visit{{-5, 123}, true});  // left over from somebody else: visits() replaces it
  where.visits(q_block, list);
  const auto fail = [&] {
    return ::testing::AssertionFailure() << "queries [" << q_block.begin << ", " << q_block.end << "), visits"
                                         << print(list) << ": ";
  };
  Pos at = 0;
  for (const Visit& visit : list) {
    if (visit.keys.empty()) return fail() << "an empty visit";
    if (visit.keys.begin < at) return fail() << "not sorted, not disjoint, or before zero";
    at = visit.keys.end;
  }
  if (q_block.empty()) return ::testing::AssertionSuccess();

  // Both ends of the block and some between.
  std::vector<Pos> q_positions{q_block.begin, q_block.end - 1};
  for (int n = 0; n < 4; ++n) q_positions.push_back(random.between(q_block.begin, q_block.end - 1));
  for (const Pos key : keys_to_ask(q_block, list, random)) {
    const auto visit = std::find_if(list.begin(), list.end(), [&](const Visit& v) { return key < v.keys.end; });
    const bool visited = visit != list.end() && key >= visit->keys.begin;
    for (const Pos q_pos : q_positions) {
      const bool admitted = where.admits(q_pos, key);
      if (admitted && !visited) return fail() << "query " << q_pos << " admits key " << key << ", which is not visited";
      if (!admitted && visited && visit->full) {
        return fail() << "a full visit lies: query " << q_pos << " does not admit key " << key;
      }
    }
  }
  for (const Pos q_pos : q_positions) {
    for (const Visit& visit : list) {
      const Pos size = std::min<Pos>(visit.keys.size(), 1000);
      for (const Range keys :
           {Range{visit.keys.begin, visit.keys.begin + size}, Range{visit.keys.end - size, visit.keys.end}}) {
        if (auto held = mask_holds(where, q_pos, keys); !held) return fail() << held.message();
      }
    }
    const Pos begin = random.between(std::max<Pos>(0, q_pos - 150), q_pos + 40);
    for (const Pos size : {1, 31, 32, 33, 64, 101}) {
      if (auto held = mask_holds(where, q_pos, {begin, begin + size}); !held) return fail() << held.message();
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace detail

/// The laws of Where, for one pattern: every admitted key lies in exactly one visit; visits are sorted, disjoint,
/// non-empty; `full` never lies; mask() == admits(). Over blocks of 0, 1, a block +- 1, primes; at zero, near, far.
inline ::testing::AssertionResult where_laws_hold(const Where& where, std::uint64_t seed) {
  Random random(seed);
  for (const Pos begin : {Pos{0}, Pos{1}, Pos{31}, Pos{97}, random.between(2, 700), random.between(2, 2500),
                          Pos{65'521}, Pos{5'000'000'029}}) {
    for (const Pos size : {Pos{0}, Pos{1}, Pos{2}, Pos{7}, Pos{47}, Pos{48}, Pos{49}, Pos{63}, Pos{64}, Pos{65},
                           Pos{127}, Pos{128}, Pos{129}, random.between(1, 300)}) {
      if (auto held = detail::block_holds(where, {begin, begin + size}, random); !held) {
        return held << " (seed " << seed << ")";
      }
    }
  }
  return ::testing::AssertionSuccess();
}

/// Checks the laws of Where for every set of parameters, alone and joined with other mechanisms.
template <WhereMechanism M>
void check_where_laws(const std::vector<M>& params) {
  const std::vector<WherePtr> others{make_where(where::Dense{}), make_where(where::Window{17}),
                                     make_where(where::Sink{5}), make_where(where::None{}),
                                     make_where(Thirds{}),       make_where(Hundreds{})};
  std::uint64_t seed = 1;
  for (const M& mechanism : params) {
    SCOPED_TRACE("parameters:" + detail::print(mechanism));
    const WherePtr alone = make_where(mechanism);
    EXPECT_TRUE(where_laws_hold(*alone, seed++));
    EXPECT_TRUE(where_laws_hold(*unite({alone, alone}), seed++)) << "joined with itself";
    for (std::size_t n = 0; n < others.size(); n += kThinning) {
      const WherePtr& other = others[n];
      const WherePtr& third = others[(n + 1) % others.size()];
      EXPECT_TRUE(where_laws_hold(*unite({alone, other}), seed++)) << "united with other " << n;
      EXPECT_TRUE(where_laws_hold(*intersect({alone, other}), seed++)) << "intersected with other " << n;
      EXPECT_TRUE(where_laws_hold(*unite({other, intersect({third, alone})}), seed++)) << "both, other " << n;
      EXPECT_TRUE(where_laws_hold(*intersect({other, unite({third, alone})}), seed++)) << "both, other " << n;
    }
  }
}

}  // namespace saccade::testing
