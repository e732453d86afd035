#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>

#include <optional>
#include <string>
#include <tuple>

#include "python/src/call.h"

namespace saccade::python {

/// What a stub says of a function beside the keywords that def_call adds.
struct Signature {
  std::string positional;  ///< "q: typing.Any, ..."
  std::string more;        ///< its own keywords, each begun by ", "
  std::string returns;
};

/// Binds a function that takes what attend, see and the definition have in common: q, k, an argument of its own and
/// attn; the keywords that say how attention is to be done; then keywords of its own. They reach `run` as one Given,
/// without v and precision, and what is its own, in this order.
///
/// `positional` holds an nb::arg for each of the four, `more` those of the keywords and the docstring.
template <class... Own, class... Arg, class... More>
void def_call(nanobind::module_& m, const char* name, nanobind::object (*run)(Given, nanobind::handle, Own...),
              const std::tuple<Arg...>& positional, const Signature& signature, const More&... more) {
  namespace nb = nanobind;
  using namespace nb::literals;
  const auto take = [run](nb::handle q, nb::handle k, nb::handle own, nb::handle attn, nb::handle weigh, bool causal,
                          std::optional<double> scale, nb::handle mask, nb::handle slopes, nb::handle sink_scores,
                          std::optional<Pos> q_begin, nb::handle cu_seqlens, nb::handle cu_seqlens_k, int layer,
                          Own... others) {
    return run({.batch = {.q = q, .k = k, .cu_seqlens = cu_seqlens, .cu_seqlens_k = cu_seqlens_k},
                .attn = attn,
                .weigh = weigh,
                .causal = causal,
                .scale = scale,
                .mask = mask,
                .slopes = slopes,
                .sink_scores = sink_scores,
                .q_begin = q_begin,
                .layer = layer},
               own, others...);
  };
  const std::string text =
      "def " + std::string(name) + "(" + signature.positional +
      ", *, weigh: typing.Any = 'softmax', causal: bool = True, scale: float | None = None, mask: typing.Any = None, "
      "slopes: typing.Any = None, sink_scores: typing.Any = None, q_begin: int | None = None, cu_seqlens: typing.Any = "
      "None, cu_seqlens_k: typing.Any = None, layer: int = 0" +
      signature.more + ") -> " + signature.returns;
  std::apply(
      [&](const auto&... arg) {
        m.def(name, take, arg..., nb::kw_only(), "weigh"_a = "softmax", "causal"_a = true, "scale"_a = nb::none(),
              "mask"_a = nb::none(), "slopes"_a = nb::none(), "sink_scores"_a = nb::none(), "q_begin"_a = nb::none(),
              "cu_seqlens"_a = nb::none(), "cu_seqlens_k"_a = nb::none(), "layer"_a = 0, more...,
              nb::sig(text.c_str()));
      },
      positional);
}

}  // namespace saccade::python
