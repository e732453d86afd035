#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "saccade/plan/fields.h"
#include "saccade/plan/spec.h"
#include "saccade/steer/edit.h"
#include "saccade/where/choice.h"

namespace saccade {

/// What a mechanism goes by.
enum class MechanismKind : std::uint8_t {
  kPattern,   ///< positions alone
  kSelector,  ///< it looks at queries and keys first
  kReviewer,  ///< it looks at what others chose
  kProbe,     ///< it looks at weights, and changes nothing: no spec names it
  kEdit,      ///< it changes what a head does: a plan's "steer" names it
  kWeigher,   ///< it turns scores into weights: models, and callers of the library, name it
};

/// One mechanism as the outside sees it. Its name is its file's, its parameters come from its `fields`, its sentence
/// and its source from its row in docs/mechanisms.md.
struct MechanismInfo {
  std::string_view word;      ///< "where"
  std::string_view name;      ///< "window"
  std::string_view sentence;  ///< what it does; empty when docs/mechanisms.md has no row for it
  std::string_view source;    ///< paper
  std::vector<ParamInfo> params;
  MechanismKind kind = MechanismKind::kPattern;
  SelectTraits traits;  ///< what a selector or reviewer promises

  /// Builds it; null for what is no choice of keys. Errors: Fault::kUser, one line, "where/window: n must be >= 1, got
  /// -1".
  ChoicePtr (*make_choice)(const SpecArgs& args) = nullptr;
  /// What it edits; null for what edits nothing. Errors: as make_choice.
  HeadEdit (*make_edit)(const SpecArgs& args) = nullptr;
  /// The soft cap that it asks of attention, 0 for none; null for what is no way to weigh. Errors: as make_choice.
  float (*make_softcap)(const SpecArgs& args) = nullptr;
};

/// Every mechanism there is, by word and name. CMake writes the list from the file names (cmake/catalogue.cmake).
const std::vector<MechanismInfo>& catalogue();

/// nullptr when there is no mechanism of that name.
const MechanismInfo* find(std::string_view name);

/// Those that a spec may name.
std::vector<const MechanismInfo*> choices();

/// Those that "steer" may name.
std::vector<const MechanismInfo*> edits();

/// Ways to weigh.
std::vector<const MechanismInfo*> weighers();

/// Rows of docs/mechanisms.md, as "word/name", that no header stands behind.
std::vector<std::string_view> rows_without_header();

}  // namespace saccade
