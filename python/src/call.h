#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "python/src/arguments.h"
#include "python/src/batch.h"
#include "python/src/mask.h"
#include "saccade/plan/planned.h"

namespace saccade::python {

/// The arguments of a call as Python gave them; None where nothing was given.
struct Given {
  Batch::Given batch;
  nanobind::handle attn;
  nanobind::handle weigh;
  bool causal = true;
  std::optional<double> scale = {};
  nanobind::handle mask = nanobind::none();
  nanobind::handle slopes = nanobind::none();
  nanobind::handle sink_scores = nanobind::none();
  std::string precision = "auto";
  std::optional<Pos> q_begin = {};
  int layer = 0;
};

/// A call that has been read: what attend, decode, select, see and the oracle have in common. Everything in it is
/// borrowed from the caller's arrays, which it keeps alive.
class Call {
 public:
  /// `place` begins every error, "attend: ". Errors: ValueError and TypeError, one line.
  Call(const std::string& place, const Given& given);

  /// The planned call of one sequence, without o, lse and mask; good as long as this object.
  PlannedCall sequence(Pos i) const;

  /// Calls `run` for the parts of a sequence that the engine takes in one call: all of it, or each head by itself where
  /// the mask has heads of its own; and for rows before every key, which see nothing, fills in what that means.
  /// `planned` has o and lse. May run without the GIL.
  void run_parts(const PlannedCall& planned, Pos i, const std::function<void(const PlannedCall&)>& run);

  /// Where there are fewer keys than queries, the first queries stand before every key.
  bool skips_rows_before_keys() const { return causal_ && !q_begin_; }

  /// For what has to see all queries and heads of a sequence at once. Errors: ValueError, one line that begins `place`,
  /// where a query stands before every key, or the mask has heads of its own.
  void want_whole(const std::string& place, Pos i) const;

  Batch batch;
  Attn attn;

 private:
  void see_nothing(const PlannedCall& planned, Pos n_rows) const;
  void run_head_by_head(const PlannedCall& planned, Pos i, Pos skipped,
                        const std::function<void(const PlannedCall&)>& run);
  void check_given(const std::string& place) const;
  void check_patterns(const std::string& place) const;
  void check_shape(const std::string& place, Pos i) const;

  bool causal_;
  float scale_, softcap_;
  Precision precision_;
  std::optional<Pos> q_begin_;
  int layer_;
  std::optional<Mask> mask_;
  std::vector<float> slopes_, sink_scores_;
  std::vector<std::vector<const Where*>> patterns_;  ///< of attn.patterns
};

}  // namespace saccade::python
