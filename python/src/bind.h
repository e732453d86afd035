#pragma once

#include <nanobind/nanobind.h>

namespace saccade::python {

// One file a subject; each adds its names to the module.
void bind_attend(nanobind::module_& m);
void bind_catalogue(nanobind::module_& m);
void bind_engine(nanobind::module_& m);
void bind_merge(nanobind::module_& m);
void bind_oracle(nanobind::module_& m);
void bind_mask_mod(nanobind::module_& m);
void bind_plan(nanobind::module_& m);
void bind_see(nanobind::module_& m);
void bind_select(nanobind::module_& m);

}  // namespace saccade::python
