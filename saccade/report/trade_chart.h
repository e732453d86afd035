#pragma once

#include <string>
#include <vector>

namespace saccade::report {

/// What something costs in fidelity and brings in speed.
struct TradePoint {
  std::string name;
  double error = 0;  ///< >= 0; 0 stands in a lane of its own, beside the logarithmic axis
  double gain = 0;
  std::string hint;  ///< on hover
};

/// Which points no other beats: none has both less error and more gain, or one of them better and the other the same.
/// NaN is never on the front.
std::vector<bool> pareto_front(const std::vector<TradePoint>& points);

struct TradeChart {
  std::string error_name, gain_name;
  std::vector<TradePoint> points;
  std::vector<TradePoint> limits;  ///< dashed lines at a gain that nothing honest can pass; their error is not drawn
};

/// A labelled point each: filled on the front, hollow beside it, so that it reads without colour; the front is a line.
/// Points that are not finite are named below the chart.
std::string trade_chart(const TradeChart& chart);

}  // namespace saccade::report
