#pragma once

#include <vector>

namespace saccade::report {

/// A rectangle on the page, in pixels; y grows downwards.
struct Box {
  double x = 0, y = 0, width = 0, height = 0;
};

/// The area that two boxes share.
double overlap(const Box& a, const Box& b);

/// A mark that wants a label of this size.
struct Labelled {
  double x = 0, y = 0;
  double width = 0, height = 14;
};

/// A place for each label near its mark, inside `room`, where it covers other labels, marks and `taken` least; the
/// nearest such place. Those of the first marks are chosen first. Cost      quadratic in the number of marks, of which
/// a chart has tens
std::vector<Box> place_labels(const std::vector<Labelled>& marks, const Box& room, const std::vector<Box>& taken = {});

}  // namespace saccade::report
