#include "apps/saccade/inspect_gaze.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <map>

#include "saccade/attend/look.h"
#include "saccade/base/error.h"
#include "saccade/see/class_masses.h"
#include "saccade/see/column_sums.h"
#include "saccade/see/diagonals.h"
#include "saccade/see/distance.h"
#include "saccade/see/entropy.h"
#include "saccade/see/rows.h"
#include "saccade/see/top_keys.h"

namespace saccade::app {
namespace {

std::size_t at(Pos position) { return static_cast<std::size_t>(position); }

/// Pairs of a query and a key that a pattern shows, and that causal attention would.
std::int64_t visible_pairs(const Where& where, Range queries, Pos kv_len) {
  std::int64_t pairs = 0;
  VisitList visits;
  std::vector<std::uint32_t> words;
  for (Pos begin = queries.begin; begin < queries.end; begin += 64) {
    const Range block{begin, std::min(begin + 64, queries.end)};
    where.visits(block, visits);
    clip(visits, {0, kv_len});
    for (const Visit& visit : visits) {
      if (visit.full) pairs += visit.keys.size() * block.size();
      if (visit.full) continue;
      words.resize(at((visit.keys.size() + 31) / 32));
      for (Pos q = block.begin; q < block.end; ++q) {
        where.mask(q, visit.keys, words.data());
        for (const auto word : words) pairs += std::popcount(word);
      }
    }
  }
  return pairs;
}

std::vector<float> triangle(const see::BlockSums& blocks, int head) {
  const std::span<const float> sums = blocks.sums(head);
  std::vector<float> mass;
  mass.reserve(at(blocks.n * (blocks.n + 1) / 2));
  for (Pos row = 0; row < blocks.n; ++row) {
    const auto n_queries = static_cast<float>(std::max<Pos>(1, blocks.positions(row).size()));
    for (Pos column = 0; column <= row; ++column)
      mass.push_back(sums.empty() ? 0 : sums[at(row * blocks.n + column)] / n_queries);
  }
  return mass;
}

}  // namespace

/// The probes of one call; block sums, which are of the whole prompt, stay with their layer.
struct Gaze::Probes {
  see::Entropy entropy;
  see::Distance distance;
  see::Diagonals diagonals;
  see::ClassMasses masses;
  see::ColumnSums columns;
  see::TopKeys tops;
  see::Rows rows;

  std::vector<Probe*> all() { return {&entropy, &distance, &diagonals, &masses, &columns, &tops}; }
};

Gaze::Gaze(GazeShape shape) : shape_(std::move(shape)) {
  const std::size_t n = at(shape_.n_most), n_rows = shape_.rows.size(), n_heads = at(shape_.n_heads);
  layers_.resize(at(shape_.n_layers));
  for (Layer& layer : layers_) {
    layer.heads.resize(n_heads);
    layer.columns.resize(n_heads * n);
    layer.spread.resize(n);
    layer.distance.resize(n);
    layer.top_keys.resize(at(kTopKeys) * n);
    layer.top_weights.resize(at(kTopKeys) * n);
    layer.rows.resize(n_rows * n);
    layer.answer_bins.resize(2 * n_heads * at(n_bins()));
    layer.small = std::make_unique<see::BlockSums>();
    layer.small->n = small_size();
    layer.small->maxima = false;
    layer.small->text_len = shape_.n_prompt;
  }
  chosen_.resize(shape_.chosen.size());
  for (std::size_t i = 0; i < chosen_.size(); ++i) {
    chosen_[i].spread.resize(n);
    chosen_[i].rows.resize(n_rows * n);
    auto& large = layers_[at(shape_.chosen[i].layer)].large;
    if (!large) large = std::make_unique<see::BlockSums>();
    large->n = large_size();
    large->maxima = false;
    large->text_len = shape_.n_prompt;
    large->heads.push_back(shape_.chosen[i].head);
  }
  all_rows_.resize(n_rows * n);
}

int Gaze::chosen_index(int layer, int head) const {
  const auto found = std::ranges::find(shape_.chosen, HeadName{layer, head});
  return found == shape_.chosen.end() ? -1 : static_cast<int>(found - shape_.chosen.begin());
}

void Gaze::look(int layer, const AttendCall& call, const float* lse, Team& team) {
  if (layer < 0 || layer >= shape_.n_layers)
    fail_user("inspect: this model's attention does not say which layer it belongs to");
  const Range queries{call.q_begin, call.q_begin + call.q.len};
  Layer& own = layers_[at(layer)];
  Probes probes;
  probes.diagonals.offsets = {0, 1};
  probes.masses.spans = {{"first", {0, 1}}, {"text", shape_.text}, {"question", shape_.question}};
  probes.columns.squares = false;
  probes.tops.k = kTopKeys;
  std::vector<Probe*> all = probes.all();
  for (const Pos row : shape_.rows)
    if (row >= queries.begin && row < queries.end) probes.rows.queries.push_back(row);
  if (!probes.rows.queries.empty()) all.push_back(&probes.rows);
  if (queries.begin < shape_.n_prompt) {
    all.push_back(own.small.get());
    if (own.large) all.push_back(own.large.get());
  }
  saccade::look(call, lse, all, team, workspace_);
  own.n_seen += queries.size();
  fold_pairs(own, call);
  fold_queries(layer, call, probes);
  fold_tops(own, probes.tops);
  fold_rows(layer, probes.rows, queries, static_cast<int>(call.q.n_heads));
}

void Gaze::fold_pairs(Layer& layer, const AttendCall& call) {
  const Range queries{call.q_begin, call.q_begin + call.q.len};
  std::map<const Where*, std::int64_t> known;
  for (std::size_t head = 0; head < at(call.q.n_heads); ++head) {
    const Where* where = call.where[call.where.size() == 1 ? 0 : head];
    const auto [found, is_new] = known.try_emplace(where, 0);
    if (is_new) found->second = visible_pairs(*where, queries, call.k.len);
    layer.heads[head].pairs_visited += found->second;
    layer.heads[head].pairs_dense += dense_pairs(call.q_begin, call.q.len, call.k.len, 1);
  }
}

void Gaze::fold_queries(int index, const AttendCall& call, const Probes& probes) {
  Layer& layer = layers_[at(index)];
  const auto n_heads = static_cast<int>(call.q.n_heads);
  const auto share = 1.0F / static_cast<float>(n_heads);
  for (int head = 0; head < n_heads; ++head) {
    HeadSums& sums = layer.heads[at(head)];
    const int chosen = chosen_index(index, head);
    for (Pos q = call.q_begin; q < call.q_begin + call.q.len; ++q) {
      const float spread = q == 0 ? 0 : *probes.entropy.values().row(head, q) / std::log(static_cast<float>(q + 1));
      const float* mass = probes.masses.values().row(head, q);
      const float* near = probes.diagonals.values().row(head, q);
      const float distance = *probes.distance.mean().row(head, q);
      layer.spread[at(q)] += share * spread;
      layer.distance[at(q)] += share * distance;
      if (chosen >= 0) chosen_[at(chosen)].spread[at(q)] = spread;
      sums.spread += static_cast<double>(spread);
      sums.distance += static_cast<double>(distance - mass[0] * static_cast<float>(q));
      sums.not_first += static_cast<double>(1 - mass[0]);
      sums.first += static_cast<double>(mass[0]);
      if (q < kEarly) sums.first_early += static_cast<double>(mass[0]);
      sums.in_text += static_cast<double>(mass[1]);
      sums.in_question += static_cast<double>(mass[2]);
      sums.self += static_cast<double>(near[0]);
      sums.previous += static_cast<double>(near[1]);
    }
    sums.n_queries += call.q.len;
    const std::span<const double> columns = probes.columns.sums().head(head);
    float* own = layer.columns.data() + at(head) * at(shape_.n_most);
    for (std::size_t key = 0; key < columns.size() && key < at(shape_.n_most); ++key)
      own[key] += static_cast<float>(columns[key]);
  }
}

void Gaze::fold_tops(Layer& layer, const see::TopKeys& tops) {
  const double share = 1.0 / shape_.n_heads;
  for (Pos q = tops.q_positions().begin; q < tops.q_positions().end; ++q) {
    std::array<see::TopKeys::Key, kTopKeys> keys;
    std::ranges::copy(tops.row(q), keys.begin());
    std::ranges::sort(keys, {}, &see::TopKeys::Key::position);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (keys[i].position < 0) continue;
      const std::size_t place = i * at(shape_.n_most) + at(q);
      layer.top_keys[place] = keys[i].position == 0 ? 0 : static_cast<std::uint32_t>(q - keys[i].position + 1);
      layer.top_weights[place] = kTopCoding.code(share * static_cast<double>(keys[i].weight));
    }
  }
}

void Gaze::fold_rows(int index, const see::Rows& rows, Range queries, int n_heads) {
  Layer& layer = layers_[at(index)];
  const Coding coding = row_coding();
  std::vector<float> mean(at(shape_.n_most));
  for (std::size_t i = 0; i < shape_.rows.size(); ++i) {
    const Pos position = shape_.rows[i];
    if (position < queries.begin || position >= queries.end) continue;
    std::ranges::fill(mean, 0.0F);
    for (int head = 0; head < n_heads; ++head) {
      const std::span<const float> row = rows.row(head, position);
      for (std::size_t key = 0; key < row.size(); ++key) mean[key] += row[key] / static_cast<float>(n_heads);
      const int chosen = chosen_index(index, head);
      if (chosen < 0) continue;
      std::uint8_t* codes = chosen_[at(chosen)].rows.data() + i * at(shape_.n_most);
      for (std::size_t key = 0; key < row.size(); ++key) codes[key] = coding.code(static_cast<double>(row[key]));
    }
    for (std::size_t key = 0; key < mean.size(); ++key) {
      layer.rows[i * mean.size() + key] = coding.code(static_cast<double>(mean[key]));
      all_rows_[i * mean.size() + key] += mean[key] / static_cast<float>(shape_.n_layers);
    }
    if (position + 1 >= shape_.n_prompt) fold_answer(layer, rows, position, n_heads);
  }
}

void Gaze::fold_answer(Layer& layer, const see::Rows& rows, Pos position, int n_heads) {
  const bool first = position + 1 == shape_.n_prompt;
  ++layer.n_answer_rows;
  for (int head = 0; head < n_heads; ++head) {
    const std::span<const float> row = rows.row(head, position);
    float* of_first = layer.answer_bins.data() + at(head * n_bins());
    float* of_all = of_first + at(shape_.n_heads * n_bins());
    for (std::size_t key = 0; key < row.size(); ++key) {
      const std::size_t bin = key / at(bin_len());
      of_all[bin] += row[key];
      if (first) of_first[bin] += row[key];
    }
  }
}

std::vector<float> Gaze::small_map(int layer, int head) const { return triangle(*layers_[at(layer)].small, head); }

std::vector<float> Gaze::large_map(std::size_t chosen) const {
  const HeadName name = shape_.chosen[chosen];
  return triangle(*layers_[at(name.layer)].large, name.head);
}

std::vector<float> Gaze::received(int layer, int head) const {
  const Layer& own = layers_[at(layer)];
  std::vector<float> mean(at(shape_.n_most));
  for (std::size_t key = 0; key < mean.size() && static_cast<Pos>(key) < own.n_seen; ++key)
    mean[key] = own.columns[at(head) * mean.size() + key] / static_cast<float>(own.n_seen - static_cast<Pos>(key));
  return mean;
}

std::vector<float> Gaze::all_rows() const { return all_rows_; }

std::vector<float> Gaze::answer_bins(int layer) const {
  const Layer& own = layers_[at(layer)];
  std::vector<float> bins = own.answer_bins;
  for (std::size_t i = bins.size() / 2; i < bins.size(); ++i)
    bins[i] /= static_cast<float>(std::max<Pos>(1, own.n_answer_rows));
  return bins;
}

}  // namespace saccade::app
