#pragma once

#include <string_view>

#include "saccade/base/view.h"
#include "saccade/saccade.h"

namespace saccade::capi {

/// What a caller's tensor shows. `name` begins its errors.
/// Errors: Fault::kUser, one line: a null pointer where there are elements, an unknown type, sizes or strides that no
/// memory has, elements that are not aligned
View view_of(const saccade_tensor* tensor, std::string_view name);

/// The same to write to: f32, rows that do not overlap.
MutableView output_of(const saccade_tensor* tensor, std::string_view name);

}  // namespace saccade::capi
