#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/saccade/bench/select_judge.h"

namespace saccade::app {

/// One result as a row of the report: times in ms, and `heads`, an array [head, density, mass, random, oracle, output
/// error] for each.
nlohmann::ordered_json select_row(const SelectResult& result);

/// One row for each spec and step over all of its layers: times are means over layers, masses means over heads.
/// `halfway`: the mass is at least halfway from that of random blocks to that of the heaviest keys, as many of them.
nlohmann::ordered_json select_summary(const std::vector<SelectResult>& results);

/// The summary for people.
std::string select_table(const nlohmann::ordered_json& summary);

}  // namespace saccade::app
