#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/saccade/inspect_pack.h"
#include "saccade/attend/attend.h"
#include "saccade/base/team.h"
#include "saccade/see/block_sums.h"

namespace saccade::see {
class Rows;
class TopKeys;
}  // namespace saccade::see

namespace saccade::app {

struct HeadName {
  int layer = 0, head = 0;
  bool operator==(const HeadName&) const = default;
};

/// What is to be kept of a run.
struct GazeShape {
  int n_layers = 0, n_heads = 0;
  Pos n_prompt = 0;              ///< tokens of the prompt: maps are of these
  Pos n_most = 0;                ///< tokens of prompt and answer together, at most
  Range text, question;          ///< positions; `question`: what comes after the text
  std::vector<HeadName> chosen;  ///< heads that are kept in detail
  std::vector<Pos> rows;         ///< queries whose rows are kept: ascending, the answer's last
};

/// Of one head, sums over its queries; means of them are the report's metrics.
struct HeadSums {
  std::int64_t n_queries = 0;
  std::int64_t pairs_visited = 0, pairs_dense = 0;
  double spread = 0;     ///< entropy / ln(keys to see)
  double distance = 0;   ///< mean distance without the first token's share ...
  double not_first = 0;  ///< ... which is weighted by what the first token leaves
  double first = 0, previous = 0, self = 0, in_text = 0, in_question = 0;
  double first_early = 0;  ///< of the first kEarly queries: the sink metric is defined on so many
};

/// Collects what `saccade inspect` shows while a model runs: the second pass over each attention call, with the probes
/// of saccade/see, folded together call by call. It holds no map, and nothing that is quadratic in the text.
///
/// Errors    Fault::kUser from `look` when the model's layers cannot be told apart; as saccade::look
/// Cost      one second pass over the keys; memory, for N tokens, L layers, H heads, C chosen heads and R rows:
///           4 L H N (columns) + 4 C 1024^2 + 4 L H 128^2 (maps) + 26 L N (top keys, lines) + (L + C + 4) R N (rows)
class Gaze {
 public:
  static constexpr Pos kTopKeys = 8, kSmall = 128, kLarge = 1024, kMostBins = 2048, kEarly = 64;
  static constexpr Coding kTopCoding{Coding::Kind::kLog2, 3, 1.5e-5};  // 2^-16
  static constexpr Coding kBinCoding{Coding::Kind::kLog2, 8, 9.5e-7};  // 2^-20

  explicit Gaze(GazeShape shape);

  /// One attention call as it ran: `lse` [q_len, n_heads].
  void look(int layer, const AttendCall& call, const float* lse, Team& team);

  const GazeShape& shape() const { return shape_; }
  /// Less than an even share counts as nothing: in a row of 30,000 keys that is most of them, and none that a reader
  /// would see, since the page's colours begin there.
  Coding row_coding() const { return {Coding::Kind::kLog2, 4, 1.0 / static_cast<double>(shape_.n_prompt)}; }
  const HeadSums& head(int layer, int head) const {
    return layers_[static_cast<std::size_t>(layer)].heads[static_cast<std::size_t>(head)];
  }
  /// Calls in which a layer was not seen whole (a mask that was not one causal run) leave holes: queries seen by a
  /// layer.
  Pos n_seen(int layer) const { return layers_[static_cast<std::size_t>(layer)].n_seen; }

  Pos small_size() const { return std::min(kSmall, shape_.n_prompt); }
  Pos large_size() const { return std::min(kLarge, shape_.n_prompt); }
  /// Mass of each block of keys, mean of the block's queries: [size (size + 1) / 2], the lower triangle by rows.
  std::vector<float> small_map(int layer, int head) const;
  std::vector<float> large_map(std::size_t chosen) const;

  /// Mean weight that a token got from those that could see it: [n_most].
  std::vector<float> received(int layer, int head) const;

  /// Per token, mean of the layer's heads: entropy / ln(keys to see); distance in tokens. [n_most]
  std::span<const float> spread(int layer) const { return layers_[static_cast<std::size_t>(layer)].spread; }
  std::span<const float> distance(int layer) const { return layers_[static_cast<std::size_t>(layer)].distance; }
  std::span<const float> chosen_spread(std::size_t chosen) const { return chosen_[chosen].spread; }

  /// [kTopKeys, n_most]: 0 for the first token, else 1 + how far back; 0 with weight code 0 where there is none. Of
  /// each token by position, none first: neighbours look at the same, so that deflate finds three eighths more to leave
  /// out.
  std::span<const std::uint32_t> top_keys(int layer) const { return layers_[static_cast<std::size_t>(layer)].top_keys; }
  /// [kTopKeys, n_most], codes: mean of the heads.
  std::span<const std::uint8_t> top_weights(int layer) const {
    return layers_[static_cast<std::size_t>(layer)].top_weights;
  }

  /// Kept rows: [rows, n_most]; codes of a layer's mean and of a chosen head; the mean of all layers.
  std::span<const std::uint8_t> layer_rows(int layer) const { return layers_[static_cast<std::size_t>(layer)].rows; }
  std::span<const std::uint8_t> chosen_rows(std::size_t chosen) const { return chosen_[chosen].rows; }
  std::vector<float> all_rows() const;

  /// What the answer looked at, by bins of bin_len keys: [2, n_heads, n_bins]: its first token, the mean of its rows.
  Pos bin_len() const { return (shape_.n_most + kMostBins - 1) / kMostBins; }
  Pos n_bins() const { return (shape_.n_most + bin_len() - 1) / bin_len(); }
  std::vector<float> answer_bins(int layer) const;

 private:
  struct Layer {
    std::vector<HeadSums> heads;
    Pos n_seen = 0;
    std::vector<float> columns;  // [n_heads, n_most]
    std::vector<float> spread, distance;
    std::vector<std::uint32_t> top_keys;
    std::vector<std::uint8_t> top_weights, rows;
    std::vector<float> answer_bins;  // [2, n_heads, n_bins], sums
    Pos n_answer_rows = 0;
    std::unique_ptr<see::BlockSums> small, large;
  };
  struct Chosen {
    std::vector<float> spread;
    std::vector<std::uint8_t> rows;
  };
  struct Probes;
  void fold_queries(int layer, const AttendCall& call, const Probes& probes);
  void fold_tops(Layer& layer, const see::TopKeys& tops);
  void fold_rows(int layer, const see::Rows& rows, Range queries, int n_heads);
  void fold_answer(Layer& layer, const see::Rows& rows, Pos position, int n_heads);
  void fold_pairs(Layer& layer, const AttendCall& call);
  int chosen_index(int layer, int head) const;

  GazeShape shape_;
  Workspace workspace_;
  std::vector<Layer> layers_;
  std::vector<Chosen> chosen_;
  std::vector<float> all_rows_;  // [rows, n_most], sums over layers
};

}  // namespace saccade::app
