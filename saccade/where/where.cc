#include "saccade/where/where.h"

#include <algorithm>

#include "saccade/base/error.h"

namespace saccade {
namespace {

enum class Join { kUnite, kIntersect };

class Joined final : public Where {
 public:
  Joined(Join how, std::vector<WherePtr> parts) : how_(how), parts_(std::move(parts)) {
    SACCADE_ASSERT(!parts_.empty(), "a union or intersection has at least one part");
  }

  bool admits(Pos q_pos, Pos k_pos) const override {
    const auto sees = [&](const WherePtr& part) { return part->admits(q_pos, k_pos); };
    return how_ == Join::kUnite ? std::any_of(parts_.begin(), parts_.end(), sees)
                                : std::all_of(parts_.begin(), parts_.end(), sees);
  }

  void visits(Range q_block, VisitList& out) const override {
    parts_[0]->visits(q_block, out);
    VisitList other;
    for (std::size_t i = 1; i < parts_.size(); ++i) {
      parts_[i]->visits(q_block, other);
      out = how_ == Join::kUnite ? saccade::unite(out, other) : saccade::intersect(out, other);
    }
  }

  void mask(Pos q_pos, Range keys, std::uint32_t* words) const override {
    // A few words at a time, so that the other part's need no allocation: this is asked for every query of an edge.
    constexpr Pos kKeys = kWords * 32;
    for (Pos begin = keys.begin; begin < keys.end; begin += kKeys, words += kWords) {
      const Range some{begin, std::min(begin + kKeys, keys.end)};
      parts_[0]->mask(q_pos, some, words);
      for (std::size_t i = 1; i < parts_.size(); ++i) {
        std::uint32_t other[kWords];
        parts_[i]->mask(q_pos, some, other);
        for (Pos w = 0; w * 32 < some.size(); ++w) {
          words[w] = how_ == Join::kUnite ? words[w] | other[w] : words[w] & other[w];
        }
      }
    }
  }

  Pos q_step() const override {
    Pos least = 1;
    for (const WherePtr& part : parts_) {
      const Pos step = part->q_step();
      if (step > 1 && (least == 1 || step < least)) least = step;
    }
    return least;
  }

 private:
  static constexpr Pos kWords = 8;
  Join how_;
  std::vector<WherePtr> parts_;
};

class Skipping final : public Where {
 public:
  Skipping(WherePtr inner, double share) : inner_(std::move(inner)), share_(share) {}
  bool admits(Pos q_pos, Pos k_pos) const override { return inner_->admits(q_pos, k_pos); }
  void visits(Range q_block, VisitList& out) const override { inner_->visits(q_block, out); }
  void mask(Pos q_pos, Range keys, std::uint32_t* words) const override { inner_->mask(q_pos, keys, words); }
  Pos q_step() const override { return inner_->q_step(); }
  double skips() const override { return share_; }

 private:
  WherePtr inner_;
  double share_;
};

WherePtr join(Join how, std::vector<WherePtr> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  return std::make_shared<Joined>(how, std::move(parts));
}

}  // namespace

WherePtr unite(std::vector<WherePtr> parts) { return join(Join::kUnite, std::move(parts)); }

WherePtr intersect(std::vector<WherePtr> parts) { return join(Join::kIntersect, std::move(parts)); }

WherePtr skipping(WherePtr where, double share) { return std::make_shared<Skipping>(std::move(where), share); }

}  // namespace saccade
