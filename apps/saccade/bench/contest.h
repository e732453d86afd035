#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/saccade/bench/law.h"
#include "apps/saccade/bench/layers.h"
#include "apps/saccade/bench/ours.h"
#include "apps/saccade/bench/peers.h"
#include "apps/saccade/bench/rounds.h"
#include "apps/saccade/bench/session.h"

namespace saccade::app {

/// What a contestant looks at: everything, or blocks drawn at a density for each head, with the rows that judge the
/// result.
struct Pattern {
  std::optional<double> asked;  ///< none: dense
  std::vector<WherePtr> owned;
  std::vector<const Where*> where;  ///< one for all heads, or one a head
  std::unique_ptr<Law> law;
};

/// One line of the report.
struct Line {
  Json row;  ///< what is known before anything is timed: shape, threads, who, target, precision
  int entrant = 0, threads = 0;
  std::string target;  ///< of ours; empty: ggml's own
  Precision precision = Precision::kF32;
  const Pattern* pattern = nullptr;
  const OurAttention* ours = nullptr;  ///< null: ggml's own

  bool same_but_for_threads(const Line& other) const;
};

/// Our attention and ggml's two on the same data, timed in turns. A command adds contestants and yardsticks, measures,
/// and asks each line for what it wants to report.
class Contest {
 public:
  /// Errors: as Layers. The session is borrowed.
  Contest(Session& session, const Shape& shape, bool with_peers);
  Contest(const Contest&) = delete;
  Contest& operator=(const Contest&) = delete;

  const Layers& data() const { return data_; }
  /// `density`: none for dense.
  const Pattern& add_pattern(std::optional<double> density);
  /// ggml with flash attention, and without where llama.cpp can; judged on dense, the first pattern.
  void add_peers(int n_threads);
  void add_ours(const std::string& target, Precision precision, int n_threads, const Pattern& pattern);

  Rounds& rounds() { return rounds_; }
  std::deque<Line>& lines() { return lines_; }

  double seconds(const Line& line) const { return rounds_.spread(line.entrant).median; }
  /// The best median of the lines that are wanted; 0 when there is none.
  template <class Wanted>
  double best(const Wanted& wanted) const {
    double best = 0;
    for (const Line& line : lines_)
      if (wanted(line) && (best == 0 || seconds(line) < best)) best = seconds(line);
    return best;
  }
  /// Adds "ms", "ms_min", "ms_max" of one layer.
  void add_times(Line& line) const;
  /// Adds "vs_ggml", "vs_ggml_fa_off", "vs_better_ggml" to ours (how many times faster), "vs_one_thread" to all; null
  /// where there is nothing to compare with.
  void add_ratios(Line& line) const;

 private:
  Line& add_line(const std::string& who, int n_threads);
  void add_peer(const std::string& who, bool flash, std::unique_ptr<GgmlAttention>& peer, int n_threads);

  Session& session_;
  Layers data_;
  std::vector<SampleRow> sampled_;  // borrowed by the patterns' laws
  std::deque<Pattern> patterns_;
  std::unique_ptr<GgmlAttention> flash_, plain_;
  std::deque<std::unique_ptr<OurAttention>> ours_;
  std::deque<Line> lines_;
  Rounds rounds_;
};

}  // namespace saccade::app
