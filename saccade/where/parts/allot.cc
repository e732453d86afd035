#include "saccade/where/parts/allot.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace saccade {
namespace {

/// Error saved for the cost from one offer to a dearer one.
double slope(const Offer& from, const Offer& to) { return (from.error - to.error) / (to.cost - from.cost); }

/// The offers of one head worth having, by cost: each saves error, at a lower rate than the one before.
std::vector<std::size_t> hull_of(const std::vector<Offer>& offers) {
  std::vector<std::size_t> order(offers.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return offers[a].cost != offers[b].cost ? offers[a].cost < offers[b].cost : offers[a].error < offers[b].error;
  });
  std::vector<std::size_t> hull;
  for (const std::size_t next : order) {
    if (!hull.empty() && offers[next].error >= offers[hull.back()].error) continue;
    while (hull.size() > 1 &&
           slope(offers[hull[hull.size() - 2]], offers[hull.back()]) <= slope(offers[hull.back()], offers[next]))
      hull.pop_back();
    hull.push_back(next);
  }
  return hull;
}

/// From one place of a head's hull to the next.
struct Step {
  std::size_t head = 0, to = 0;  ///< `to`: a place in the hull
  double cost = 0, slope = 0;
};

/// The hulls of all heads, and the steps along them in the order in which they are worth taking. Of one head they come
/// in the order of its hull, along which slopes fall.
class Climb {
 public:
  explicit Climb(const std::vector<std::vector<Offer>>& offers) : at_(offers.size(), 0) {
    for (std::size_t head = 0; head < offers.size(); ++head) {
      const auto& hull = hulls_.emplace_back(hull_of(offers[head]));
      cost_ += offers[head][hull.front()].cost;
      error_ += offers[head][hull.front()].error;
      for (std::size_t to = 1; to < hull.size(); ++to) {
        const Offer &before = offers[head][hull[to - 1]], &after = offers[head][hull[to]];
        steps_.push_back({head, to, after.cost - before.cost, slope(before, after)});
      }
    }
    std::ranges::stable_sort(steps_, std::greater<>(), &Step::slope);
  }

  double cost() const { return cost_; }
  double error() const { return error_; }
  const std::vector<Step>& steps() const { return steps_; }
  /// False where an earlier step of the head was left out.
  bool can_take(const Step& step) const { return step.to == at_[step.head] + 1; }
  void take(const Step& step) {
    at_[step.head] = step.to;
    cost_ += step.cost;
    error_ -= step.slope * step.cost;
  }
  /// Where each head stands: an index into its offers.
  std::vector<std::size_t> chosen() const {
    std::vector<std::size_t> all;
    for (std::size_t head = 0; head < at_.size(); ++head) all.push_back(hulls_[head][at_[head]]);
    return all;
  }

 private:
  std::vector<std::size_t> at_;  // places in the hulls
  std::vector<std::vector<std::size_t>> hulls_;
  std::vector<Step> steps_;
  double cost_ = 0, error_ = 0;
};

}  // namespace

std::vector<std::size_t> allot(const std::vector<std::vector<Offer>>& offers, double budget) {
  Climb climb(offers);
  budget *= 1 + 1e-12;  // sums of costs are rounded
  if (climb.cost() > budget) return {};
  for (const Step& step : climb.steps()) {
    if (climb.can_take(step) && climb.cost() + step.cost <= budget) climb.take(step);
  }
  return climb.chosen();
}

std::vector<std::size_t> allot_within(const std::vector<std::vector<Offer>>& offers, double error) {
  Climb climb(offers);
  for (const Step& step : climb.steps()) {
    if (climb.error() <= error) break;
    climb.take(step);
  }
  return climb.chosen();
}

}  // namespace saccade
