#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "saccade/base/view.h"
#include "saccade/plan/spec.h"

namespace saccade {

/// One parameter of a mechanism, as every door shows it.
struct ParamInfo {
  std::string name;
  std::string type;           ///< "int", "number", "word" or "on/off"
  std::string default_value;  ///< as one would type it
  std::string help;
};

/// Turns a typed value into a parameter's type. Errors: Fault::kUser, "where/window: n must be a whole number, got x".
void read_value(std::string_view place, std::string_view name, std::string_view typed, Pos& value);
void read_value(std::string_view place, std::string_view name, std::string_view typed, double& value);
void read_value(std::string_view place, std::string_view name, std::string_view typed, std::string& value);
void read_value(std::string_view place, std::string_view name, std::string_view typed, bool& value);

/// What one would type to get the value, and the name of its type.
ParamInfo describe(Pos value);
ParamInfo describe(double value);
ParamInfo describe(const std::string& value);
ParamInfo describe(bool value);

/// Which typed value each parameter gets, in the parameters' order; nullptr: it keeps its default. Positional values
/// come first and fill the parameters in order. Errors: Fault::kUser, one line; an unknown parameter names its nearest
/// neighbour.
std::vector<const std::string*> match_args(std::string_view place, const std::vector<ParamInfo>& params,
                                           const SpecArgs& args);

/// A visitor for `fields`: lists the parameters, with the values they hold as defaults.
struct ListParams {
  std::vector<ParamInfo> params;

  template <class T>
  void operator()(std::string_view name, T& value, std::string_view help) {
    ParamInfo info = describe(value);
    info.name = name;
    info.help = help;
    params.push_back(std::move(info));
  }
};

/// A visitor for `fields`: gives each parameter the value that was typed for it.
struct AssignParams {
  std::string_view place;                  ///< "where/window", how its errors begin
  std::vector<const std::string*> values;  ///< from match_args
  std::size_t next = 0;

  template <class T>
  void operator()(std::string_view name, T& value, std::string_view) {
    if (const std::string* typed = values[next++]) read_value(place, name, *typed, value);
  }
};

/// The parameters of a mechanism, from its `fields`.
template <class Mechanism>
std::vector<ParamInfo> params_of(Mechanism mechanism = {}) {
  ListParams list;
  mechanism.fields(list);
  return std::move(list.params);
}

/// Sets the parameters of a mechanism from the arguments of a spec; its own `check` is not called.
/// Errors: those of match_args and read_value.
template <class Mechanism>
void assign_params(std::string_view place, const SpecArgs& args, Mechanism& mechanism) {
  AssignParams assign{place, match_args(place, params_of(mechanism), args)};
  mechanism.fields(assign);
}

}  // namespace saccade
