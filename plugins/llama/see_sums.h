#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "plugins/llama/judge.h"

namespace saccade::llama {

/// What a model's heads looked at in the latest text: sums over its queries of the numbers of some probes, for each
/// layer and head, of a prompt's batches and of decode steps apart. A text begins at position 0: a layer that sees that
/// again forgets what it saw.
///
/// Cost      what the probes cost in the first pass (AttendCall::probes); with column_sums, and in sliding-window
/// layers,
///           a second pass over the keys of each call (saccade::look). Memory O(layers x heads), with column_sums also
///           8 bytes a layer and position
class SeeSums {
 public:
  /// Probes are spelt as their files in saccade/see; joined by "+".
  /// Errors: Fault::kUser on one that we do not have.
  explicit SeeSums(std::string_view probes);
  ~SeeSums();
  SeeSums(const SeeSums&) = delete;
  SeeSums& operator=(const SeeSums&) = delete;

  /// Before this thread's next call runs; as Judge::prepare.
  std::span<RowProbe* const> prepare(bool window);
  /// The call that prepare() was for. Errors: as saccade::look
  void look(const JudgedCall& judged);
  /// Queries of this layer ran and cannot be shown.
  void miss(int layer, Pos n_queries) { layers_[layer].n_missed += n_queries; }
  /// JSON, as in plugins/llama/README.md.
  std::string print() const;

 private:
  static constexpr std::size_t kStatistics = 10;
  struct Head {
    std::int64_t n_queries = 0;
    std::array<double, kStatistics> sums = {};
  };
  using Heads = std::vector<Head>;
  struct Layer {
    Heads prompt, answer;
    std::vector<double> columns;  ///< [positions]: the weights that a key got from all heads
    std::int64_t n_missed = 0;
    Pos window = 0;
  };
  struct Probes;
  bool keeps(std::string_view probe) const;

  std::vector<std::string_view> probes_;
  std::map<int, Layer> layers_;
  Workspace workspace_;
  std::map<std::thread::id, std::unique_ptr<Probes>> running_;  ///< of calls that are prepared for
};

}  // namespace saccade::llama
