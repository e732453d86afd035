// Selectors inside the backend: over the batches of a prompt, decode steps and prompts, a result is fp64 attention over
// what `choose` answers for the same inputs, asked without any memory.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "plugins/llama/backend.h"
#include "saccade/plan/catalogue.h"
#include "saccade/where/dense.h"
#include "tests/plugin/attention_case.h"
#include "tests/plugin/prompt.h"
#include "tests/tolerance.h"

namespace saccade::testing {
namespace {

std::shared_ptr<const Plan> plan_of(const std::string& spec_or_json) {
  const Plan plan = spec_or_json.starts_with("{") ? Plan::from_json(spec_or_json) : Plan::from_spec(spec_or_json);
  return std::make_shared<const Plan>(plan.with_precision(Precision::kF32));
}

/// What the record should say of the selectors.
struct Counts {
  std::int64_t chosen = 0, by_rule = 0, by_floor = 0, by_cost = 0;
  bool operator==(const Counts&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Counts& counts) {
  return out << "chosen " << counts.chosen << ", dense by rule " << counts.by_rule << ", by floor " << counts.by_floor
             << ", by cost " << counts.by_cost;
}

Counts counted() {
  const llama::Record record = llama::record();
  return {record.heads_chosen, record.heads_dense_by_rule, record.heads_dense_by_floor, record.heads_dense_by_cost};
}

/// A plan, and what is known of it from earlier calls: only whether choosing paid.
struct Asker {
  std::shared_ptr<const Plan> plan;
  bool fallbacks = true;
  std::map<std::pair<const Choice*, bool>, Foresight> foresight = {};
  Counts counts = {};

  /// A pattern for each head.
  std::vector<WherePtr> choose_all(const Prompt& prompt, Range queries) {
    Alone alone;
    std::vector<WherePtr> where(static_cast<std::size_t>(prompt.shape().n_heads));
    std::map<const Choice*, std::vector<int>> heads_of;
    for (int head = 0; head < prompt.shape().n_heads; ++head) {
      const Choice& choice = plan->choice(prompt.shape().layer, head);
      where[static_cast<std::size_t>(head)] = choice.pattern();
      if (choice.pattern() == nullptr) heads_of[&choice].push_back(head);
    }
    for (const auto& [choice, heads] : heads_of) {
      SelectCall call = prompt.call(queries, heads, alone);
      call.fallbacks = fallbacks;
      const Selection chosen = choose(*choice, call, &foresight[{choice, call.decodes()}]);
      for (std::size_t i = 0; i < heads.size(); ++i) where[static_cast<std::size_t>(heads[i])] = chosen.of_head[i];
      counts.chosen += static_cast<std::int64_t>(heads.size());
      counts.by_rule += chosen.n_dense_by_rule;
      counts.by_floor += chosen.n_dense_by_floor;
      counts.by_cost += chosen.n_dense_by_cost;
    }
    return where;
  }
};

/// Some rows of a batch against the definition.
void check_batch(const Prompt& prompt, Range queries, const std::vector<float>& o, const std::vector<WherePtr>& where) {
  const oracle::Inputs in = prompt.inputs(queries);
  for (Pos i = 0; i < queries.size(); i += i + 30 < queries.size() ? 29 : 1) {
    for (Pos head = 0; head < in.n_heads; ++head) {
      const Where& pattern = *where[static_cast<std::size_t>(head)];
      const auto visible = [&](Pos q_pos, Pos k_pos) { return pattern.admits(q_pos, k_pos); };
      const Expected row = expect_row(in, i, head, visible, [](auto score) { return score; });
      const auto first = static_cast<std::size_t>((i * in.n_heads + head) * in.head_dim);
      EXPECT_TRUE(judge(row, std::span(o).subspan(first, static_cast<std::size_t>(in.head_dim)), nullptr, 0))
          << "queries [" << queries.begin << ", " << queries.end << ")";
    }
  }
}

/// Three batches of a prompt and five steps.
const std::vector<Range> kText = {{0, 256}, {256, 512}, {512, 700}, {700, 701}, {701, 702}, {702, 703}, {703, 704}};

void check_text(Asker& asker, const Prompt& prompt, const std::vector<Range>& batches, int n_threads) {
  ggml_backend_t ours = our_backend("dense", n_threads);
  llama::use_plan(asker.plan);
  llama::reset_record();
  asker.counts = {};
  for (const Range queries : batches) {
    const std::vector<WherePtr> where = asker.choose_all(prompt, queries);
    check_batch(prompt, queries, prompt.run(ours, queries), where);
    EXPECT_EQ(counted(), asker.counts) << "at " << queries.begin;
  }
  EXPECT_EQ(llama::record().calls_not_causal, 0);
  if (asker.counts.chosen > 0) EXPECT_GT(llama::record().selection_ns, 0);
}

const char* const kRows = R"json({"default": {"attn": "random(0.3)"}, "rows": [
    {"layers": "3", "heads": "1", "attn": "random(0.5,seed=7)&window(400)+sink(2)"},
    {"layers": "3", "heads": "2", "attn": "window(100)"},
    {"layers": "0-2", "attn": "dense"}]})json";

class SelectorIn : public ::testing::TestWithParam<std::string> {};

TEST_P(SelectorIn, ATextInBatchesAndStepsIsAttentionOverWhatWasChosen) {
  const Prompt prompt({}, 11);
  for (const int n_threads : {1, 3}) {
    Asker asker{plan_of(GetParam())};
    check_text(asker, prompt, kText, n_threads);
  }
}

TEST_P(SelectorIn, AnotherTextInTheSameCacheIsChosenForAnew) {
  Prompt prompt({}, 12);
  Asker asker{plan_of(GetParam())};
  check_text(asker, prompt, kText, 2);
  prompt.refill(13);
  check_text(asker, prompt, {{0, 300}, {300, 301}, {301, 302}}, 2);
  prompt.refill(14);  // restored by somebody else, and longer than what was known
  check_text(asker, prompt, {{303, 500}, {500, 501}}, 2);
  check_text(asker, prompt, {{400, 401}, {401, 430}}, 2);  // rolled back
}

INSTANTIATE_TEST_SUITE_P(Plugin, SelectorIn,
                         ::testing::Values("random(0.3)", "random(0.2)+sink(4)+window(64)", kRows,
                                           "random(0.4)+floor(mass=0.5)", "window(200)+floor(mass=0.4,rows=3)",
                                           "flexprefill(min_budget=128)", "flexprefill(gamma=0.5,min_budget=128)+floor",
                                           "quest(budget=64,share=0,dense_layers=0)", "moba(chunk=64,top_k=2)",
                                           "xattention(tau=0.5)", "sparge(tau=0.5)+sink(4)"),
                         [](const auto& info) { return "Spec" + std::to_string(info.index); });

/// A plan's edits reach the heads of the layer that they name, in prompts and in steps, and no other.
TEST(Plans, SteerHeads) {
  const Prompt prompt({}, 17);  // of layer 3
  const auto run = [&](const std::string& rows, Range queries) {
    ggml_backend_t ours = our_backend("dense", 2);
    llama::use_plan(plan_of("{\"rows\": [" + rows + "]}"));
    return prompt.run(ours, queries);
  };
  const std::string row = R"json("heads": "1", "steer": "scale_head(-2)"})json";
  for (const Range queries : {Range{0, 256}, Range{256, 257}}) {
    const std::vector<float> plain = run("", queries), steered = run("{\"layers\": \"3\", " + row, queries);
    EXPECT_EQ(run("{\"layers\": \"0-2,4\", " + row, queries), plain);
    ASSERT_EQ(steered.size(), plain.size());
    for (std::size_t i = 0; i < plain.size(); ++i) {
      const bool named = i / 64 % 4 == 1;
      ASSERT_EQ(steered[i], named ? -2 * plain[i] : plain[i]) << i;
    }
  }
}

/// Every selector there is, with its defaults.
TEST(Selectors, AllRunInsideTheBackend) {
  const Prompt prompt({}, 15);
  for (const MechanismInfo* info : choices()) {
    SCOPED_TRACE(info->name);
    const ChoicePtr choice = info->make_choice({});
    const bool selects = choice->pattern() == nullptr && !choice->reviews() && !choice->deals();
    if (!selects || !choice->traits().exact_on_selection) continue;
    Asker asker{plan_of(std::string(info->name))};
    check_text(asker, prompt, kText, 2);
  }
}

/// In the first batch of a text: what was measured in it counts in the next ones.
TEST(Selectors, TheirStrengthIsChosenInsideTheBackend) {
  const Prompt prompt({}, 16);
  for (const char* spec : {"xattention+within(0.2)", "sparge+window(64)+within(0.05)", "window(100)+within(0.9)"}) {
    SCOPED_TRACE(spec);
    Asker asker{plan_of(spec)};
    check_text(asker, prompt, {{0, 700}, {700, 701}, {701, 702}}, 2);
  }
}

TEST(Selectors, SeveralSequencesRunDenseAndAreCounted) {
  AttentionCase c;
  c.seed = 5;
  c.n_heads = 4;
  c.n_kv_heads = 2;
  c.p0 = 300;
  c.q_len = 40;
  c.kv_len = 512;
  c.mask = MaskKind::kTwoSequences;
  AttentionGraph graph(c);
  ggml_backend_t ours = our_backend("random(0.1)", 2);
  llama::reset_record();
  const std::vector<float> chosen = graph.run(ours);
  EXPECT_EQ(llama::record().calls_not_causal, 1);
  EXPECT_EQ(llama::record().heads_chosen, 0);
  EXPECT_EQ(llama::record().pairs_visited, llama::record().pairs_dense);
  EXPECT_EQ(graph.run(our_backend("dense", 2)), chosen);
}

/// The pairs of a text's queries and keys that are chosen for head 0 when it is cut like this.
std::vector<bool> chosen_pairs(const std::string& spec, const Prompt& prompt, const std::vector<Range>& batches) {
  Asker asker{.plan = plan_of(spec), .fallbacks = false};
  std::vector<bool> pairs;
  for (const Range queries : batches) {
    const std::vector<WherePtr> where = asker.choose_all(prompt, queries);
    for (Pos q_pos = queries.begin; q_pos < queries.end; ++q_pos) {
      for (Pos k_pos = 0; k_pos < 1024; ++k_pos) pairs.push_back(where[0]->admits(q_pos, k_pos));
    }
  }
  return pairs;
}

/// How a choice depends on how the prompt is cut into batches. Those that choose for each query alone do not notice;
/// those that let the last rows of a batch speak for it do, but in the batch whose last rows are the same.
TEST(Selectors, TheCutOfAPromptMattersWhereTheySaySo) {
  Prompt prompt({}, 16);
  prompt.look_at({384, 512}, 130);
  prompt.look_at({896, 1024}, 300);
  const std::vector<Range> whole = {{0, 1024}}, cut = {{0, 512}, {512, 1024}};
  for (const char* spec : {"random(0.3)", "window(100)+sink(4)"}) {
    EXPECT_FALSE(plan_of(spec)->depends_on_batch());
    EXPECT_EQ(chosen_pairs(spec, prompt, whole), chosen_pairs(spec, prompt, cut)) << spec;
  }
  const char* const flexprefill = "flexprefill(tau=0,min_budget=256)";
  EXPECT_TRUE(plan_of(flexprefill)->depends_on_batch());
  const std::vector<bool> of_whole = chosen_pairs(flexprefill, prompt, whole),
                          of_cut = chosen_pairs(flexprefill, prompt, cut);
  const auto sees = [](const std::vector<bool>& pairs, Pos q_pos, Pos k_pos) { return pairs[q_pos * 1024 + k_pos]; };
  // Query 511 itself looks at key 130. Where a batch ends with it, it sees that; else what query 1023 looks at.
  EXPECT_TRUE(sees(of_cut, 511, 130));
  EXPECT_FALSE(sees(of_whole, 511, 130));
  EXPECT_TRUE(sees(of_whole, 511, 300));
  const auto second = static_cast<std::ptrdiff_t>(of_whole.size() / 2);
  EXPECT_TRUE(std::equal(of_whole.begin() + second, of_whole.end(), of_cut.begin() + second)) << "the same last rows";
}

}  // namespace
}  // namespace saccade::testing
