// The per-head search of minference.h.

#include <algorithm>
#include <array>
#include <cmath>

#include "saccade/where/choice.h"
#include "saccade/where/dense.h"
#include "saccade/where/minference.h"
#include "saccade/where/parts/parallel.h"
#include "saccade/where/parts/scores.h"

namespace saccade::where {
namespace {

/// The card's candidates, in its order.
const std::array<Minference, 8>& candidates() {
  static const std::array<Minference, 8> all{{{.pattern = "a_shape", .n_sink = 100, .window = 800},
                                              {.vertical_size = 30, .slash_size = 800},
                                              {.vertical_size = 100, .slash_size = 800},
                                              {.vertical_size = 100, .slash_size = 750},
                                              {.vertical_size = 500, .slash_size = 700},
                                              {.vertical_size = 3500, .slash_size = 100},
                                              {.vertical_size = 1000, .slash_size = 6096},
                                              {.pattern = "block_sparse", .n_blocks = 100}}};
  return all;
}

Minference scaled(const Minference& one, double factor) {
  Minference out = one;
  for (Pos* size : {&out.vertical_size, &out.slash_size, &out.n_sink, &out.window, &out.n_blocks}) {
    *size = std::max<Pos>(1, std::llround(factor * static_cast<double>(*size)));
  }
  return out;
}

std::string spec_of(const Minference& one) {
  const auto number = [](const char* name, Pos value) {
    return std::string(", ") + name + "=" + std::to_string(value);
  };
  std::string spec = "minference(" + one.pattern;
  if (one.pattern == "a_shape") spec += number("n_sink", one.n_sink) + number("window", one.window);
  if (one.pattern == "block_sparse") spec += number("n_blocks", one.n_blocks);
  if (one.pattern == "vertical_slash") {
    spec += number("vertical_size", one.vertical_size) + number("slash_size", one.slash_size);
  }
  return spec + ")";
}

/// The softmax weights of a few rows of one head, to judge any number of patterns with.
class SampledRows {
 public:
  SampledRows(const SelectCall& call, int head) : call_(call) {
    constexpr Pos kRows = 16, kKeys = 512;
    const Pos n = std::min(kRows, call.q.len);
    Rows q{n, call.q.dim, {}};
    for (Pos r = 1; r <= n; ++r) {
      rows_.push_back(r * call.q.len / n - 1);
      const Rows one = load(call.q, head, {rows_.back(), rows_.back() + 1});
      q.values.insert(q.values.end(), one.values.begin(), one.values.end());
    }
    weights_.resize(static_cast<std::size_t>(n * call.q_end()));
    std::vector<float> scores(static_cast<std::size_t>(n * kKeys));
    for (Pos begin = 0; begin < call.q_end(); begin += kKeys) {
      const Range keys{begin, std::min(begin + kKeys, call.q_end())};
      multiply(q, load(call.k, call.kv_head[static_cast<std::size_t>(head)], keys), call.scale, scores.data());
      for (Pos r = 0; r < n; ++r) std::copy_n(scores.data() + r * keys.size(), keys.size(), row(r).data() + begin);
    }
    for (Pos r = 0; r < n; ++r) {
      const auto seen = row(r).first(static_cast<std::size_t>(q_pos(r) + 1));
      for (float& score : seen) score = call.softcap > 0 ? call.softcap * std::tanh(score / call.softcap) : score;
      softmax(seen);
    }
  }

  /// Mean share of the rows' weight that the pattern shows; NaN counts for nothing.
  double mass(const Where& where) {
    double sum = 0.0;
    std::vector<std::uint32_t> words(static_cast<std::size_t>((call_.q_end() + 31) / 32));
    for (Pos r = 0; r < static_cast<Pos>(rows_.size()); ++r) {
      const Pos n = q_pos(r) + 1;
      where.mask(q_pos(r), {0, n}, words.data());
      double mass = 0.0;
      for (Pos j = 0; j < n; ++j) {
        if ((words[static_cast<std::size_t>(j / 32)] >> (j % 32) & 1U) != 0)
          mass += row(r)[static_cast<std::size_t>(j)];
      }
      if (!std::isnan(mass)) sum += mass;
    }
    return sum / static_cast<double>(rows_.size());
  }

 private:
  std::span<float> row(Pos r) { return {weights_.data() + r * call_.q_end(), static_cast<std::size_t>(call_.q_end())}; }
  Pos q_pos(Pos r) const { return call_.q_begin + rows_[static_cast<std::size_t>(r)]; }

  const SelectCall& call_;
  std::vector<Pos> rows_;
  std::vector<float> weights_;
};

Selection choose(const Minference& one, const SelectCall& call) {
  Selection chosen;
  one.choose(call, chosen);
  return chosen;
}

/// Pairs that all heads together visit.
std::int64_t pairs_of(const Selection& chosen, const SelectCall& call) {
  std::int64_t pairs = 0;
  for (const WherePtr& where : chosen.of_head) {
    pairs += estimated_pairs(*where, {call.q_begin, call.q_end()}, call.k.len);
  }
  return pairs;
}

/// The candidate, its sizes scaled until it visits at most `pairs`, within one part in twenty where that can be had.
Minference at_equal_cost(const Minference& one, std::int64_t pairs, const SelectCall& call) {
  double low = 1.0 / 64, high = 64.0;
  Minference best = scaled(one, low);
  for (int step = 0; step < 12; ++step) {
    const double factor = std::sqrt(low * high);
    const Minference tried = scaled(one, factor);
    const std::int64_t cost = pairs_of(choose(tried, call), call);
    if (cost <= pairs) {
      best = tried, low = factor;
      if (cost >= pairs - pairs / 20) break;
    } else {
      high = factor;
    }
  }
  return best;
}

}  // namespace

std::vector<std::string> search_minference(const SelectCall& call, double density) {
  const auto all = static_cast<double>(estimated_pairs(*make_where(Dense{}), {call.q_begin, call.q_end()}, call.k.len));
  const auto pairs = static_cast<std::int64_t>(density * all * static_cast<double>(call.heads.size()));
  std::vector<Minference> tried;
  std::vector<Selection> chosen;
  for (const Minference& one : candidates()) {
    tried.push_back(at_equal_cost(one, pairs, call));
    chosen.push_back(choose(tried.back(), call));
  }
  std::vector<std::string> specs(call.heads.size());
  parallel_for_or_throw(*call.team, static_cast<Pos>(specs.size()), [&](Pos i) {
    const auto at = static_cast<std::size_t>(i);
    SampledRows rows(call, call.heads[at]);
    double most = -1.0;
    for (std::size_t n = 0; n < tried.size(); ++n) {
      const double mass = rows.mass(*chosen[n].of_head[at]);
      if (mass > most) most = mass, specs[at] = spec_of(tried[n]);
    }
  });
  return specs;
}

}  // namespace saccade::where
