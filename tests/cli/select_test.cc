// What `saccade bench select` stands on: specs are tried on the calls of a prompt and judged beside dense attention.
#include <gtest/gtest.h>

#include "apps/saccade/bench/select_judge.h"
#include "apps/saccade/bench/select_rows.h"
#include "tests/support/attend_case.h"

namespace saccade::app {
namespace {

using nlohmann::ordered_json;
using testing::AttendCase;
using testing::Output;
using testing::Problem;
using testing::team_of;

constexpr int kHeads[] = {0, 1, 2, 3};

/// Calls of two heads of keys, as the plug-in would show them.
struct Shown {
  explicit Shown(Pos kv_len, Pos q_len, std::uint64_t seed)
      : problem({.seed = seed,
                 .q_len = q_len,
                 .kv_len = kv_len,
                 .n_heads = 4,
                 .n_kv_heads = 2,
                 .kv_head = {0, 0, 1, 1},
                 .gain = 3.0F}),
        out(problem.output()),
        call(problem.call(out, borrowed)) {}
  void show(SelectJudge& judge, int layer) { judge.look({call, layer, kHeads, team_of(2)}); }

  Problem problem;
  Output out;
  std::vector<const Where*> borrowed;
  AttendCall call;
};

SelectJudge::What what_of(const std::vector<std::string>& specs) {
  SelectJudge::What what{
      .attentions = {}, .layers = {1, 3}, .ends = {600}, .n_prompt = 600, .n_rows = 7, .repetitions = 2};
  for (const auto& spec : specs) what.attentions.push_back(attention_from_spec(spec));
  return what;
}

TEST(SelectJudge, TriesTheCallsItIsAskedFor) {
  Shown first(300, 300, 1), last(600, 300, 2), token(601, 1, 3), next(602, 1, 4);
  SelectJudge judge(what_of({"window(100)", "random(0.5)", "flexprefill", "quest"}));
  for (const int layer : {0, 1, 3}) {
    for (Shown* shown : {&first, &last, &token, &next}) shown->show(judge, layer);
  }
  const auto results = judge.results();
  ASSERT_EQ(results.size(), 12U) << "two layers; three specs that select in prompts, three that do in decoding";
  const std::vector<std::string> attn{"window(100)", "random(0.5)", "flexprefill",
                                      "window(100)", "random(0.5)", "quest"};
  for (std::size_t i = 0; i < results.size(); ++i) {
    const SelectResult& one = results[i];
    SCOPED_TRACE(one.attn);
    EXPECT_EQ(one.attn, attn[i / 2]);
    EXPECT_EQ(one.layer, i % 2 == 0 ? 1 : 3);
    EXPECT_EQ(one.decodes, i >= 6);
    const std::size_t n_calls = one.decodes ? 2 : 1;
    for (const auto* times : {&one.select_s, &one.attend_s, &one.total_s, &one.dense_s})
      EXPECT_EQ(times->size(), 2 * n_calls);
    EXPECT_EQ(one.kv_len, one.decodes ? 601 : 600);
    EXPECT_EQ(one.pairs_dense, one.decodes ? 4 * (601 + 602) : dense_pairs(300, 300, 600, 4));
    ASSERT_EQ(one.heads.size(), 4U);
    for (const judge::HeadMass& head : one.heads) {
      EXPECT_EQ(head.n_rows, one.decodes ? 2 : 7);
      EXPECT_LE(head.mass(), head.mass_oracle() + 4 * std::numeric_limits<float>::epsilon());
    }
  }
}

TEST(SelectJudge, JudgesWhatTheSpecDidAndNotWhatRan) {
  Shown shown(600, 300, 5);  // its own attention is dense, and its output was never computed
  SelectJudge judge(what_of({"window(100)", "dense"}));
  shown.show(judge, 1);
  const auto results = judge.results();
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[0].cost.pairs_visited, 300 * 100 * 4);
  EXPECT_LT(results[0].heads[0].mass(), 0.9);
  EXPECT_GT(results[0].heads[0].output_error(), 0.1);
  EXPECT_LT(results[1].heads[0].output_error(), 0.01);
  EXPECT_EQ(results[1].cost.pairs_visited, results[1].pairs_dense);
}

SelectResult result(int layer, double seconds, double mass, double random, double oracle) {
  const judge::HeadMass head{.n_rows = 2,
                             .pairs_chosen = 25,
                             .pairs_visible = 100,
                             .mass_sum = 2 * mass,
                             .error_squares = 1,
                             .o_squares = 4,
                             .random_sum = 2 * random,
                             .uniform_sum = 0.5,
                             .oracle_sum = 2 * oracle};
  return {.attn = "some",
          .layer = layer,
          .q_begin = 50,
          .q_len = 50,
          .kv_len = 100,
          .select_s = {seconds, 3 * seconds, 2 * seconds},
          .attend_s = {seconds},
          .total_s = {3 * seconds},
          .dense_s = {0.012},
          .cost = {.pairs_visited = 25, .pairs_i16 = 10},
          .pairs_dense = 100,
          .n_heads = 1,
          .heads = {head}};
}

TEST(SelectRows, SummaryOfLayers) {
  // Milliseconds 2 + 1 and 4 + 2 of 12; masses 0.5 and 0.75, halfway between 0.25 and 1.
  const auto rows = select_summary({result(0, 0.001, 0.5, 0.25, 1), result(4, 0.002, 0.75, 0.25, 1)});
  ASSERT_EQ(rows.size(), 1U);
  const ordered_json& row = rows[0];
  EXPECT_EQ(row["step"], "prompt");
  EXPECT_EQ(row["n_layers"], 2);
  EXPECT_EQ(row["select_ms"], 3);
  EXPECT_EQ(row["attend_ms"], 1.5);
  EXPECT_EQ(row["dense_ms"], 12);
  EXPECT_EQ(row["vs_dense"], 2.667);
  EXPECT_EQ(row["density"], 0.25);
  EXPECT_EQ(row["share_i16"], 0.4);
  EXPECT_EQ(row["mass"], 0.625);
  EXPECT_EQ(row["mass_worst"], 0.5);
  EXPECT_EQ(row["mass_worst_at"], "0.0");
  EXPECT_EQ(row["halfway"], true) << "exactly halfway is halfway";
  EXPECT_EQ(row["output_error"], 0.5);
  EXPECT_EQ(select_summary({result(0, 0.001, 0.6, 0.25, 1)})[0]["halfway"], false);
  EXPECT_NE(select_table(rows).find("yes"), std::string::npos);
  EXPECT_EQ(select_row(result(0, 0.001, 0.5, 0.25, 1))["of_head"][0], (ordered_json{0, 0.25, 0.5, 0.25, 1, 0.5}));
}

}  // namespace
}  // namespace saccade::app
