#pragma once

#include <optional>

#include "saccade/attend/edge.h"
#include "saccade/attend/row_map.h"
#include "saccade/attend/row_notes.h"
#include "saccade/kernel/few.h"

namespace saccade::detail {

/// The rows of an item when there are at most kernel::kFewRows of them (a decode step): plays the part of `Tiles`,
/// reading keys and values straight from the cache.
class Few {
 public:
  /// Lays its buffers out; `scratch` is what several that take turns share. `wants`: what probes want to know; null:
  /// nothing.
  Few(Layout& layout, const AttendCall& call, float* scratch, const RowWants* wants);
  static float* take_scratch(Layout& layout);

  void start(const AttendCall& call, const RowMap& rows);
  /// Are these, keys of one range, better seen alone than gathered with others? Where a call's fixed costs vanish
  /// beside its keys', since they are read where they lie anyway.
  bool alone(Range keys) const { return keys.size() >= 64; }
  /// `next`: what comes after, to be fetched meanwhile; null where that is not known, or lies right behind.
  Precision see_all(const AttendCall& call, const Gathered& keys, const Gathered* next, Range /*behind*/) {
    see(call, keys, next, {});
    return Precision::kF32;
  }
  Precision see_edge(const AttendCall& call, const Edge& edge);
  static void end(const AttendCall&) {}
  /// Few rows leave nothing out.
  static std::int64_t n_skipped() { return 0; }
  float finish(Pos row, float* o) const;
  /// Writes what was noted of row r. Requires `wants`.
  void finish_notes(Pos row, float* record) const { notes_->finish(row, row_max_[row], row_sum_[row], 0.0F, record); }

 private:
  /// Where the rows of one head are, where they are not side by side.
  struct Places {
    const std::byte* here[kernel::kBlockKeys];
    const std::byte* ahead[kernel::kBlockKeys];
  };

  void see(const AttendCall& call, const Gathered& keys, const Gathered* next, const kernel::FewMask& mask);
  void visit(const kernel::FewRows& rows, const kernel::RawBlock& block, const kernel::FewMask& mask,
             kernel::ScoreRule rule, const Gathered& keys);
  static void place(const View& view, const Gathered& keys, const Gathered* next, int head, Places& out);

  RowMap rows_;
  Pos head_dim_, v_dim_;
  float *q_, *o_;              // [kFewRows, head_dim], [kFewRows, v_dim]
  float *row_max_, *row_sum_;  // [kFewRows]
  float* scratch_;             // for the kernel
  Places *k_places_, *v_places_;
  std::uint32_t* visible_;  // [kFewRows, kWords]
  float* bias_;             // [kFewRows, kBlockKeys]; null without a bias
  std::optional<RowNotes> notes_;
};

}  // namespace saccade::detail
