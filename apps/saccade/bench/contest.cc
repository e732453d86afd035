#include "apps/saccade/bench/contest.h"

#include <fmt/format.h>

#include "apps/saccade/bench/block_list.h"
#include "saccade/where/dense.h"

namespace saccade::app {
namespace {

constexpr const char *kFlash = "ggml", *kPlain = "ggml(fa=off)";

Json ratio(double theirs, double ours) { return theirs == 0 ? Json() : Json(four_digits(theirs / ours)); }

}  // namespace

bool Line::same_but_for_threads(const Line& other) const {
  return row.at("who") == other.row.at("who") && target == other.target && precision == other.precision &&
         pattern == other.pattern;
}

Contest::Contest(Session& session, const Shape& shape, bool with_peers)
    : session_(session), data_(shape, with_peers && has_plain_path(shape.type)), sampled_(sample_rows(data_)) {}

const Pattern& Contest::add_pattern(std::optional<double> density) {
  const Shape& shape = data_.shape();
  Pattern& pattern = patterns_.emplace_back();
  pattern.asked = density;
  if (!density) pattern.owned.push_back(make_where(where::Dense{}));
  for (Pos head = 0; density && head < shape.n_heads; ++head) {
    pattern.owned.push_back(std::make_shared<BlockLists>(
        draw_blocks({shape.q_begin(), shape.kv_len}, *density, static_cast<std::uint64_t>(head))));
  }
  for (const WherePtr& where : pattern.owned) pattern.where.push_back(where.get());
  pattern.law = std::make_unique<Law>(data_, sampled_, pattern.where, session_.team(session_.most_threads()));
  return pattern;
}

Line& Contest::add_line(const std::string& who, int n_threads) {
  const Shape& shape = data_.shape();
  Line& line = lines_.emplace_back();
  line.threads = n_threads;
  line.row = {{"head_dim", shape.head_dim},
              {"kv_len", shape.kv_len},
              {"q_len", shape.q_len},
              {"n_heads", shape.n_heads},
              {"n_kv_heads", shape.n_kv_heads},
              {"type", ggml_type_name(shape.type)},
              {"threads", n_threads},
              {"who", who},
              {"target", nullptr},
              {"precision", nullptr}};
  return line;
}

void Contest::add_peer(const std::string& who, bool flash, std::unique_ptr<GgmlAttention>& peer, int n_threads) {
  if (!peer) peer = std::make_unique<GgmlAttention>(data_, flash);
  GgmlAttention* attention = peer.get();
  add_line(who, n_threads).entrant =
      rounds_.add([attention, n_threads] { attention->run(n_threads); },
                  [attention, who, law = patterns_.front().law.get()] { law->check_peer(attention->o(), who); });
}

void Contest::add_peers(int n_threads) {
  add_peer(kFlash, true, flash_, n_threads);
  if (data_.with_plain()) add_peer(kPlain, false, plain_, n_threads);
}

void Contest::add_ours(const std::string& target, Precision precision, int n_threads, const Pattern& pattern) {
  const OurAttention::Choice choice{target, precision, pattern.where};
  OurAttention* ours =
      ours_.emplace_back(std::make_unique<OurAttention>(data_, choice, session_.team(n_threads))).get();
  Line& line = add_line("saccade", n_threads);
  line.row["target"] = target;
  line.row["precision"] = name_of(precision);
  line.target = target, line.precision = precision, line.pattern = &pattern, line.ours = ours;
  const std::string who = fmt::format("saccade in {} on {}", name_of(precision), target);
  line.entrant =
      rounds_.add([ours] { ours->run(); },
                  [ours, precision, who, law = pattern.law.get()] { law->check(ours->o(), precision, who); });
}

void Contest::add_times(Line& line) const {
  const Spread all = rounds_.spread(line.entrant);
  const auto n = static_cast<double>(data_.shape().n_layers);
  app::add_times(line.row, {all.median / n, all.min / n, all.max / n});
}

void Contest::add_ratios(Line& line) const {
  const double mine = seconds(line);
  const auto versus = [&](const auto& wanted) {
    if (line.ours == nullptr) return Json();
    return ratio(best([&](const Line& other) { return other.threads == line.threads && wanted(other); }), mine);
  };
  line.row["vs_ggml"] = versus([](const Line& other) { return other.row["who"] == kFlash; });
  line.row["vs_ggml_fa_off"] = versus([](const Line& other) { return other.row["who"] == kPlain; });
  line.row["vs_better_ggml"] = versus([](const Line& other) { return other.ours == nullptr; });
  line.row["vs_one_thread"] =
      ratio(best([&](const Line& other) { return other.threads == 1 && line.same_but_for_threads(other); }), mine);
}

}  // namespace saccade::app
