#include "apps/saccade/bench/select_rows.h"

#include <map>
#include <tuple>

#include "apps/saccade/bench/rounds.h"
#include "apps/saccade/bench/session.h"

namespace saccade::app {
namespace {

double ms(const std::vector<double>& seconds) { return 1e3 * spread_of(seconds).median; }

/// Of one layer or of many: sums of times, and every head as much as the next.
struct Sums {
  double n_layers = 0, n_heads = 0;
  double select_ms = 0, attend_ms = 0, total_ms = 0, dense_ms = 0;
  double density = 0, mass = 0, random = 0, uniform = 0, oracle = 0, output_error = 0;
  double worst = 2;
  int worst_layer = 0, worst_head = 0;
  std::int64_t n_chosen = 0, by_rule = 0, by_floor = 0, by_cost = 0, dense = 0;
  AttendCost cost;

  void add(const SelectResult& result) {
    ++n_layers;
    select_ms += ms(result.select_s), attend_ms += ms(result.attend_s);
    total_ms += ms(result.total_s), dense_ms += ms(result.dense_s);
    cost += result.cost, dense += result.pairs_dense;
    n_chosen += result.n_heads, by_rule += result.n_dense_by_rule;
    by_floor += result.n_dense_by_floor, by_cost += result.n_dense_by_cost;
    for (std::size_t head = 0; head < result.heads.size(); ++head) {
      const judge::HeadMass& one = result.heads[head];
      ++n_heads;
      density += one.density(), mass += one.mass(), output_error += one.output_error();
      random += one.mass_random(), uniform += one.mass_uniform(), oracle += one.mass_oracle();
      if (one.mass() >= worst) continue;
      worst = one.mass(), worst_layer = result.layer, worst_head = static_cast<int>(head);
    }
  }

  double share(std::int64_t pairs) const {
    return cost.pairs_visited > 0 ? static_cast<double>(pairs) / static_cast<double>(cost.pairs_visited) : 0.0;
  }

  void put(Json& row) const {
    row["select_ms"] = four_digits(select_ms / n_layers);
    row["attend_ms"] = four_digits(attend_ms / n_layers);
    row["ms"] = four_digits(total_ms / n_layers);
    row["dense_ms"] = four_digits(dense_ms / n_layers);
    row["vs_dense"] = four_digits(dense_ms / total_ms);
    row["density"] = static_cast<double>(cost.pairs_visited) / static_cast<double>(dense);
    row["share_i16"] = share(cost.pairs_i16);
    row["share_bf16"] = share(cost.pairs_bf16);
    row["density_of_rows"] = density / n_heads;
    row["mass"] = mass / n_heads;
    row["mass_random"] = random / n_heads;
    row["mass_uniform"] = uniform / n_heads;
    row["mass_oracle"] = oracle / n_heads;
    row["halfway"] = 2 * mass >= random + oracle;
    row["mass_worst"] = worst;
    row["mass_worst_at"] = std::to_string(worst_layer) + "." + std::to_string(worst_head);
    row["output_error"] = output_error / n_heads;
    row["heads"] = n_chosen;
    row["heads_dense_by_rule"] = by_rule;
    row["heads_dense_by_floor"] = by_floor;
    row["heads_dense_by_cost"] = by_cost;
  }
};

const char* step_of(const SelectResult& result) { return result.decodes ? "decode" : "prompt"; }

}  // namespace

Json select_row(const SelectResult& result) {
  Json row = {{"attn", result.attn},       {"step", step_of(result)}, {"layer", result.layer},
              {"q_begin", result.q_begin}, {"q_len", result.q_len},   {"kv_len", result.kv_len}};
  Sums sums;
  sums.add(result);
  sums.put(row);
  Json heads = Json::array();
  for (std::size_t head = 0; head < result.heads.size(); ++head) {
    const judge::HeadMass& one = result.heads[head];
    heads.push_back({head, one.density(), one.mass(), one.mass_random(), one.mass_oracle(), one.output_error()});
  }
  row["of_head"] = heads;
  return row;
}

Json select_summary(const std::vector<SelectResult>& results) {
  std::map<std::tuple<bool, Pos, std::string>, std::size_t> places;
  std::vector<std::pair<const SelectResult*, Sums>> all;  // in the order in which they first appear
  for (const SelectResult& result : results) {
    const auto [place, is_new] = places.try_emplace({result.decodes, result.kv_len, result.attn}, all.size());
    if (is_new) all.push_back({&result, {}});
    all[place->second].second.add(result);
  }
  Json rows = Json::array();
  for (const auto& [first, sums] : all) {
    Json row = {{"attn", first->attn},
                {"step", step_of(*first)},
                {"q_len", first->q_len},
                {"kv_len", first->kv_len},
                {"n_layers", sums.n_layers}};
    sums.put(row);
    rows.push_back(row);
  }
  return rows;
}

std::string select_table(const Json& summary) {
  int width = 4;
  for (const Json& row : summary) width = std::max(width, static_cast<int>(row["attn"].get<std::string>().size()));
  Json rows = summary;
  for (Json& row : rows) {
    row["is_halfway"] = row["halfway"].get<bool>() ? "yes" : "no";
    row["dense_heads"] = std::to_string(row["heads_dense_by_rule"].get<std::int64_t>()) + "/" +
                         std::to_string(row["heads_dense_by_floor"].get<std::int64_t>()) + "/" +
                         std::to_string(row["heads_dense_by_cost"].get<std::int64_t>()) + " of " +
                         std::to_string(row["heads"].get<std::int64_t>());
  }
  return table_of(rows, {{"attn", "attn", -width},
                         {"step", "step", -6},
                         {"queries", "q_len", 7},
                         {"keys", "kv_len", 7},
                         {"density", "density", 7, 4},
                         {"mass", "mass", 6, 4},
                         {"random", "mass_random", 6, 4},
                         {"oracle", "mass_oracle", 6, 4},
                         {"halfway", "is_halfway", 7},
                         {"worst", "mass_worst", 6, 4},
                         {"at", "mass_worst_at", 6},
                         {"o error", "output_error", 7, 4},
                         {"select ms", "select_ms", 9, 2},
                         {"attend ms", "attend_ms", 9, 2},
                         {"dense ms", "dense_ms", 9, 2},
                         {"x dense", "vs_dense", 7, 2},
                         {"dense heads", "dense_heads", 18}});
}

}  // namespace saccade::app
