#pragma once

#include <string>
#include <vector>

namespace saccade::report {

/// One head of one layer: how much of its work was done, and how much of its attention that caught.
struct HeadDot {
  int layer = 0, head = 0;
  double density = 0, mass = 0;  ///< shares, 0 to 1
  std::string hint;              ///< on hover
};

struct MassPanel {
  std::string name;
  std::vector<HeadDot> dots;
};

/// Small charts side by side, one a panel and all with the same axes: mass against density, a dot for each head of each
/// layer. Early, middle and late layers are circles, squares and triangles of three colours. The dashed line is mass =
/// density, what a blind choice catches; the head with the least mass is named. Dots that are not finite are left out.
std::string mass_panels(const std::vector<MassPanel>& panels);

}  // namespace saccade::report
