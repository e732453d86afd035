#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "saccade/steer/edit.h"
#include "saccade/where/choice.h"

namespace saccade {

/// Arguments of one mechanism: name (empty if positional) and value, as typed.
using SpecArgs = std::vector<std::pair<std::string, std::string>>;

/// A parsed spec: what the user typed, as a tree.
///   spec   = term {"+" term}             visits united          arg   = [NAME "="] value
///   term   = factor {"&" factor}         visits intersected     value = NUMBER | WORD | INT "x" INT ["x" INT]
///   factor = NAME ["(" [arg {"," arg}] ")"] | "(" spec ")"
struct Spec {
  enum class Kind { kMechanism, kUnion, kIntersection };
  Kind kind = Kind::kMechanism;
  std::string name;         ///< kMechanism
  SpecArgs args;            ///< kMechanism
  std::vector<Spec> parts;  ///< kUnion, kIntersection: at least two
  bool operator==(const Spec&) const = default;
};

/// Reads the grammar only; names and parameters are looked at by `build_choice`.
/// Errors: Fault::kUser, one line that quotes the spec and says at which character.
Spec parse_spec(std::string_view text);

/// parse_spec(print_spec(s)) == s.
std::string print_spec(const Spec& spec);

/// Looks every name up in the catalogue and builds the pattern, or what will choose one.
/// Errors: Fault::kUser, one line; an unknown mechanism or parameter names its nearest neighbour.
ChoicePtr build_choice(const Spec& spec);

/// What a spec of steer/ edits: one mechanism, such as uniform or scale_head(0). Errors: as build_choice.
HeadEdit build_edit(const Spec& spec);

/// The soft cap of a spec of weigh/, 0 for none: one mechanism, such as softmax or softcap(30). Errors: as
/// build_choice.
float build_softcap(const Spec& spec);

}  // namespace saccade
