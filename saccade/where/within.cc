#include "saccade/where/within.h"

#include <algorithm>
#include <cmath>

#include "saccade/base/random.h"
#include "saccade/where/dense.h"
#include "saccade/where/parts/allot.h"
#include "saccade/where/parts/memory.h"
#include "saccade/where/parts/tax.h"
#include "saccade/where/parts/trial.h"

namespace saccade::where {
namespace {

/// One row in each of n equal parts of the call, somewhere in it: evenly spaced ones would all lie at the same place of
/// their blocks.
std::vector<Pos> sampled_rows(const SelectCall& call, Pos n) {
  n = std::min(n, call.q.len);
  Random random(static_cast<std::uint64_t>(call.q_begin) * 1024 + static_cast<std::uint64_t>(call.layer));
  std::vector<Pos> rows;
  for (Pos i = 0; i < n; ++i) rows.push_back(random.between(i * call.q.len / n, (i + 1) * call.q.len / n - 1));
  return rows;
}

/// What each strength would cost a head and do wrong, as a share of the layer's result; the last offer is dense
/// attention, and the only one where the numbers say nothing.
std::vector<Offer> offers_of(const HeadTrial& trial, double dense_pairs, double size_of_layer) {
  std::vector<Offer> offers;
  bool finite = std::isfinite(trial.size) && size_of_layer > 0;
  for (const RungTrial& rung : trial.rungs) {
    offers.push_back({rung.pairs * kTaxOfLists, rung.error / size_of_layer});
    finite = finite && std::isfinite(rung.error);
  }
  if (!finite) offers.clear();
  offers.push_back({dense_pairs, 0.0});
  return offers;
}

}  // namespace

void Within::deal(const SelectCall& call, const std::vector<Selection>& rungs, Selection& out) const {
  if (call.decodes()) {  // one query: what measuring would cost is what it could save
    out = rungs.back();
    out.cost = rungs.front().cost;
    return;
  }
  if (call.v.data == nullptr) fail_user("where/within: measures with values, and here there are only queries and keys");
  const std::vector<Pos> sampled = sampled_rows(call, rows);
  std::vector<HeadTrial> trials = try_rungs(call, sampled, rungs);
  if (call.memory != nullptr) call.memory->trials(this).join(call, trials);
  double pairs = 0, size = 0;
  for (const Pos row : sampled) pairs += static_cast<double>(call.q_begin + row + 1);
  for (const HeadTrial& trial : trials) size += std::isfinite(trial.size) ? trial.size : 0;
  std::vector<std::vector<Offer>> offers;
  for (const HeadTrial& trial : trials) offers.push_back(offers_of(trial, pairs, size));
  const std::vector<std::size_t> chosen = allot_within(offers, error * error);

  const WherePtr dense = make_where(Dense{});
  out = rungs.front();
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const bool is_dense = chosen[i] + 1 == offers[i].size();
    out.of_head[i] = is_dense ? dense : rungs[chosen[i]].of_head[i];
    if (is_dense) ++out.n_dense_by_floor;
  }
  out.cost.flop +=
      2 * static_cast<std::int64_t>(sampled.size() * call.heads.size()) * call.q_end() * (call.q.dim + call.v.dim);
}

}  // namespace saccade::where
