#include "saccade/judge/allot.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace saccade::judge {
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

}  // namespace

std::vector<std::size_t> allot(const std::vector<std::vector<Offer>>& offers, double budget) {
  std::vector<std::vector<std::size_t>> hulls;
  std::vector<Step> steps;
  for (std::size_t head = 0; head < offers.size(); ++head) {
    const auto& hull = hulls.emplace_back(hull_of(offers[head]));
    budget -= offers[head][hull.front()].cost;
    for (std::size_t to = 1; to < hull.size(); ++to) {
      const Offer &before = offers[head][hull[to - 1]], &after = offers[head][hull[to]];
      steps.push_back({head, to, after.cost - before.cost, slope(before, after)});
    }
  }
  if (budget < 0) return {};
  std::ranges::stable_sort(steps, std::greater<>(), &Step::slope);
  std::vector<std::size_t> at(offers.size(), 0);
  for (const Step& step : steps) {
    if (step.to != at[step.head] + 1 || step.cost > budget) continue;  // or it comes after one that did not fit
    budget -= step.cost;
    at[step.head] = step.to;
  }
  for (std::size_t head = 0; head < at.size(); ++head) at[head] = hulls[head][at[head]];
  return at;
}

}  // namespace saccade::judge
