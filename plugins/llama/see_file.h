#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "plugins/llama/judge.h"
#include "plugins/llama/see_sums.h"

namespace saccade::llama {

/// SeeSums as a file of JSON that is there while the model still runs. It is written whole under another name and then
/// given its own: when the last layer has seen a batch of a prompt, at most once a second while an answer is written,
/// and in the end.
///
/// Errors    of the constructor: as SeeSums; Fault::kMachine, a file that cannot be written. Later ones are told to
///           `warn`, once, and end the looking; the model goes on. Of the destructor: none
/// Cost      SeeSums'; some 20 bytes of JSON a layer, head and number for each batch. Calls of several contexts come in
///           turn
class SeeFile final : public Judge {
 public:
  using Warn = std::function<void(const std::string& line)>;
  static constexpr std::string_view kDefault = "peaks+norms+entropy+distance+diagonals+class_masses";

  /// Becomes the judge.
  SeeFile(std::string path, std::string_view probes, Warn warn);
  SeeFile(const SeeFile&) = delete;
  SeeFile& operator=(const SeeFile&) = delete;
  ~SeeFile() override;

  bool wants_lse() const override { return true; }
  bool wants_windows() const override { return true; }
  std::span<RowProbe* const> prepare(bool window) override;
  void look(const JudgedCall& judged) override;
  void miss(int layer, Pos n_queries) override;
  void expect(int layer) override;

 private:
  std::string draft() const;
  void write();

  const std::string path_;
  const Warn warn_;
  std::mutex mutex_;  // guards the rest
  SeeSums sums_;
  int last_layer_ = -1, end_layer_ = -1;  ///< seen last; the model's last, as far as graphs were planned
  bool written_ = true, stopped_ = false;
  std::chrono::steady_clock::time_point written_at_;
};

}  // namespace saccade::llama
