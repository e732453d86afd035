#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/saccade/attention.h"

namespace saccade::app {

/// Finished rows on disk, so that an interrupted command goes on: one line of JSON a row. Rows of other models, texts
/// or settings stay and are not used.
///
/// Errors    Fault::kUser when the file is not ours; Fault::kMachine when it cannot be written
class ResumeFile {
 public:
  /// An empty path: nothing is kept.
  explicit ResumeFile(std::string path);
  /// To be called first: names everything that rows must have in common to stand in one table.
  void begin(std::string comparison) { comparison_ = std::move(comparison); }
  /// The row's JSON as it was added.
  std::optional<nlohmann::json> find(const Attention& attention) const;
  void add(const Attention& attention, const nlohmann::ordered_json& row);
  const std::string& path() const { return path_; }
  const std::string& comparison() const { return comparison_; }

 private:
  struct Line {
    std::string comparison, canonical;
    nlohmann::ordered_json json;
  };
  std::string path_, comparison_;
  std::vector<Line> lines_;
};

}  // namespace saccade::app
