#include "python/src/bind.h"
#include "saccade/base/error.h"

namespace nb = nanobind;

namespace {

/// The same one line in Python's words: the user's fault is a ValueError, the machine's a MemoryError or RuntimeError.
void translate(const std::exception_ptr& pointer, void*) {
  try {
    std::rethrow_exception(pointer);
  } catch (const saccade::Error& error) {
    const bool memory = std::string_view(error.what()).find("not enough memory") != std::string_view::npos;
    PyErr_SetString(error.fault() == saccade::Fault::kUser ? PyExc_ValueError
                    : memory                               ? PyExc_MemoryError
                                                           : PyExc_RuntimeError,
                    error.what());
  }
}

}  // namespace

NB_MODULE(_saccade, m) {
  nb::register_exception_translator(translate);
  m.attr("__version__") = SACCADE_VERSION;
  saccade::python::bind_engine(m);
  saccade::python::bind_catalogue(m);
  saccade::python::bind_plan(m);
  saccade::python::bind_attend(m);
  saccade::python::bind_merge(m);
  saccade::python::bind_oracle(m);
  saccade::python::bind_select(m);
  saccade::python::bind_mask_mod(m);
  saccade::python::bind_see(m);
}
