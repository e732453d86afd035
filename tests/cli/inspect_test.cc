#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/saccade/inspect_gaze.h"
#include "apps/saccade/inspect_options.h"
#include "apps/saccade/inspect_pack.h"
#include "apps/saccade/inspect_report.h"
#include "saccade/base/random.h"
#include "saccade/oracle/weights.h"
#include "saccade/where/dense.h"
#include "tests/support/error_line.h"

namespace saccade::app {
namespace {

using saccade::testing::error_line;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::uint8_t> bytes(std::string_view text) { return {text.begin(), text.end()}; }

TEST(InspectPack, base64_as_the_rfc_has_it) {
  const char* expected[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
  for (std::size_t n = 0; n <= 6; ++n) EXPECT_EQ(base64(bytes(std::string_view("foobar").substr(0, n))), expected[n]);
}

TEST(InspectPack, codes_stand_for_numbers_within_half_a_step) {
  const Coding coding{Coding::Kind::kLog2, 6, 1e-5};
  EXPECT_EQ(coding.code(1), 255);
  EXPECT_EQ(coding.code(0), 0);
  EXPECT_EQ(coding.code(0.9e-5), 0);
  EXPECT_EQ(coding.code(7), 255);
  for (double x = 1.1e-5; x < 1; x *= 1.01)
    EXPECT_LE(std::fabs((coding.code(x) - 255) / coding.steps - std::log2(x)), 0.5 / coding.steps) << x;
  const Coding more{Coding::Kind::kLog2OfMore, 12, 0};
  EXPECT_EQ(more.code(0), 0);
  EXPECT_EQ(more.code(1), 12);
  EXPECT_EQ(more.code(1e9), 255);
  EXPECT_EQ((Coding{Coding::Kind::kLinear, 255, 0}.code(0.5)), 128);
  EXPECT_EQ(coding.code(std::nan("")), 0);
}

TEST(InspectText, a_character_belongs_to_the_token_in_which_it_begins) {
  EXPECT_THAT(whole_characters({"a", "\xC3",
                                "\xA4"
                                "b",
                                ""}),
              ElementsAre("a", "\xC3\xA4", "b", ""));
  EXPECT_THAT(whole_characters({"\xE2", "\x82", "\xAC"}), ElementsAre("\xE2\x82\xAC", "", ""));
  EXPECT_THAT(whole_characters({"\xFF", "x\xC3"}), ElementsAre("\xEF\xBF\xBD", "x\xEF\xBF\xBD"));
  EXPECT_THAT(whole_characters({}), ElementsAre());
}

TEST(InspectOptions, heads_are_spread_over_layers_and_each_is_another) {
  const auto chosen = spread_heads(24, 14);
  ASSERT_EQ(chosen.size(), 16U);
  EXPECT_EQ(chosen.front().layer, 0);
  EXPECT_EQ(chosen.back().layer, 23);
  for (const HeadName& one : chosen) EXPECT_EQ(std::ranges::count(chosen, one), 1);
  EXPECT_EQ(spread_heads(1, 3).size(), 3U);
  EXPECT_EQ(spread_heads(2, 10).size(), 16U);
}

TEST(InspectOptions, lists_say_what_is_wrong_with_them) {
  ModelFacts model;
  model.n_layers = 4;
  model.n_heads = 2;
  EXPECT_THAT(parse_heads("3.1,0.0,3.1", model), ElementsAre(HeadName{3, 1}, HeadName{0, 0}));
  EXPECT_EQ(error_line([&] { parse_heads("4.0", model); }), "--heads: the model has 4 layers, there is no layer 4");
  EXPECT_EQ(error_line([&] { parse_heads("0.2", model); }),
            "--heads: the model has 2 heads a layer, there is no head 2");
  for (const char* bad : {"3", "3.", ".1", "3.1,", "3.x", "-1.0", "3.1.1", " 3.1"})
    EXPECT_THAT(error_line([&] { parse_heads(bad, model); }), HasSubstr("it is LAYER.HEAD")) << bad;
  EXPECT_THAT(parse_positions("7,1-3,2", 10), ElementsAre(1, 2, 3, 7));
  EXPECT_EQ(error_line([] { parse_positions("10", 10); }),
            "--tokens: the prompt has 10 tokens, there is no position 10");
  EXPECT_EQ(error_line([] { parse_positions("0-64", 100); }), "--tokens: at most 64 positions can be listed");
  EXPECT_EQ(error_line([] { parse_positions("0-9999999999", 10); }),
            "--tokens: the prompt has 10 tokens, there is no position 9999999999");
  for (const char* bad : {"a", "3-", "-3", "5-3", "1,,2", "99999999999999999999"})
    EXPECT_THAT(error_line([&] { parse_positions(bad, 10); }), HasSubstr("POSITION or FIRST-LAST")) << bad;
}

/// A small prompt in two batches and one more token, as a model would run it, with its weights in fp64 beside it.
class Seen : public ::testing::Test {
 protected:
  static constexpr Pos kPrompt = 37, kTokens = 38, kHeads = 4, kKvHeads = 2, kDim = 32;

  Seen()
      : gaze_({.n_layers = 1,
               .n_heads = kHeads,
               .n_prompt = kPrompt,
               .n_most = 40,
               .text = {2, 30},
               .question = {30, kPrompt},
               .chosen = {{0, 3}},
               .rows = {5, kPrompt - 1, kPrompt}}) {
    Random random(7);
    in_ = {.q_len = kTokens,
           .kv_len = kTokens,
           .n_heads = kHeads,
           .n_kv_heads = kKvHeads,
           .head_dim = kDim,
           .head_dim_v = kDim,
           .scale = 0.4F};
    in_.kv_head = {0, 0, 1, 1};
    for (auto* values : {&in_.q, &in_.k, &in_.v}) {
      values->resize(static_cast<std::size_t>(kTokens * (values == &in_.q ? kHeads : kKvHeads) * kDim));
      for (float& x : *values) x = random.normal();
    }
    for (const Range batch : {Range{0, 20}, Range{20, kPrompt}, Range{kPrompt, kTokens}}) look(batch);
    const auto sees = [](Pos q, Pos k) { return k <= q; };
    const auto same = [](double score) { return score; };
    for (Pos head = 0; head < kHeads; ++head)
      for (Pos q = 0; q < kTokens; ++q) {
        const double lse = oracle::attend_row<double>(in_, q, head, sees, same).lse;
        weights_.push_back(oracle::weights_row<double>(in_, q, head, sees, same, lse));
      }
  }

  void look(Range batch) {
    std::vector<float> o(static_cast<std::size_t>(batch.size() * kHeads * kDim)),
        lse(static_cast<std::size_t>(batch.size() * kHeads));
    const Where* where[] = {dense_.get()};
    AttendCall call;
    constexpr std::ptrdiff_t kFloat = sizeof(float);
    call.q = {in_.q.data() + batch.begin * kHeads * kDim,
              DType::f32,
              batch.size(),
              kHeads,
              kDim,
              kHeads * kDim * kFloat,
              kDim * kFloat};
    call.k = {in_.k.data(), DType::f32, batch.end, kKvHeads, kDim, kKvHeads * kDim * kFloat, kDim * kFloat};
    call.v = {in_.v.data(), DType::f32, batch.end, kKvHeads, kDim, kKvHeads * kDim * kFloat, kDim * kFloat};
    call.o = {o.data(), batch.size(), kHeads, kDim, kHeads * kDim * kFloat, kDim * kFloat};
    call.lse = lse.data();
    call.where = where;
    call.scale = in_.scale;
    call.q_begin = batch.begin;
    Alone team;
    attend(call, team, workspace_);
    gaze_.look(0, call, lse.data(), team);
  }

  double weight(Pos head, Pos q, Pos k) const {
    return weights_[static_cast<std::size_t>(head * kTokens + q)][static_cast<std::size_t>(k)];
  }
  double mean_weight(Pos q, Pos k) const {
    double sum = 0;
    for (Pos head = 0; head < kHeads; ++head) sum += weight(head, q, k);
    return sum / kHeads;
  }
  /// Equal but for a number that lies on the border of two codes.
  static void expect_code(int code, double x, const Coding& coding) {
    EXPECT_LE(std::abs(code - coding.code(x)), 1) << x;
  }

  oracle::Inputs in_;
  WherePtr dense_ = make_where(where::Dense{});
  Workspace workspace_;
  Gaze gaze_;
  std::vector<std::vector<double>> weights_;
};

TEST_F(Seen, maps_and_rows_are_those_of_the_dense_map) {
  const Coding fine{Coding::Kind::kLog2, 12, 1e-6};
  const auto small = gaze_.small_map(0, 2), large = gaze_.large_map(0);
  ASSERT_EQ(small.size(), static_cast<std::size_t>(kPrompt * (kPrompt + 1) / 2));
  for (Pos q = 0, i = 0; q < kPrompt; ++q) {
    for (Pos k = 0; k <= q; ++k, ++i) {
      expect_code(fine.code(static_cast<double>(small[static_cast<std::size_t>(i)])), weight(2, q, k), fine);
      expect_code(fine.code(static_cast<double>(large[static_cast<std::size_t>(i)])), weight(3, q, k), fine);
    }
  }
  const Pos rows[] = {5, kPrompt - 1, kPrompt};
  for (std::size_t i = 0; i < 3; ++i) {
    for (Pos k = 0; k <= rows[i]; ++k) {
      const std::size_t place = i * 40 + static_cast<std::size_t>(k);
      expect_code(gaze_.layer_rows(0)[place], mean_weight(rows[i], k), gaze_.row_coding());
      expect_code(gaze_.chosen_rows(0)[place], weight(3, rows[i], k), gaze_.row_coding());
    }
  }
}

TEST_F(Seen, top_keys_are_the_largest_of_each_row) {
  Pos last_key = 0;
  for (Pos q = 0; q < kTokens; ++q) {
    std::vector<double> row;
    for (Pos k = 0; k <= q; ++k) row.push_back(mean_weight(q, k));
    std::ranges::sort(row, std::greater<>());
    // By position, places without a key first.
    const Pos n = std::min<Pos>(Gaze::kTopKeys, q + 1);
    std::vector<std::uint8_t> codes;
    for (Pos i = 0; i < Gaze::kTopKeys; ++i) {
      const auto place = static_cast<std::size_t>(i * 40 + q);
      const auto back = static_cast<Pos>(gaze_.top_keys(0)[place]);
      const Pos key = back == 0 ? 0 : q - (back - 1);
      codes.push_back(gaze_.top_weights(0)[place]);
      if (i < Gaze::kTopKeys - n) {
        EXPECT_EQ(codes.back(), 0);
        continue;
      }
      if (i > Gaze::kTopKeys - n) EXPECT_GT(key, last_key);
      last_key = key;
      expect_code(codes.back(), mean_weight(q, key), Gaze::kTopCoding);
    }
    std::ranges::sort(codes, std::greater<>());
    for (std::size_t rank = 0; rank < static_cast<std::size_t>(n); ++rank) {
      expect_code(codes[rank], row[rank], Gaze::kTopCoding);
    }
  }
}

TEST_F(Seen, sums_are_those_of_the_dense_map) {
  const Coding fine{Coding::Kind::kLog2, 12, 1e-6};
  const HeadSums& sums = gaze_.head(0, 1);
  EXPECT_EQ(sums.n_queries, kTokens);
  EXPECT_EQ(sums.pairs_visited, kTokens * (kTokens + 1) / 2);
  EXPECT_EQ(sums.pairs_dense, sums.pairs_visited);
  double first = 0, previous = 0, distance = 0, in_text = 0;
  for (Pos q = 0; q < kTokens; ++q) {
    first += weight(1, q, 0);
    if (q > 0) previous += weight(1, q, q - 1);
    for (Pos k = 1; k <= q; ++k) distance += weight(1, q, k) * static_cast<double>(q - k);
    for (Pos k = 2; k < 30; ++k) in_text += weight(1, q, k);
  }
  expect_code(fine.code(sums.first / kTokens), first / kTokens, fine);
  expect_code(fine.code(sums.previous / kTokens), previous / kTokens, fine);
  expect_code(fine.code(sums.in_text / kTokens), in_text / kTokens, fine);
  expect_code(fine.code(sums.distance / 1e3), distance / 1e3, fine);
  for (Pos k = 0; k < kTokens; ++k) {
    double column = 0;
    for (Pos q = k; q < kTokens; ++q) column += weight(1, q, k) / static_cast<double>(kTokens - k);
    expect_code(fine.code(static_cast<double>(gaze_.received(0, 1)[static_cast<std::size_t>(k)])), column, fine);
  }
  const auto bins = gaze_.answer_bins(0);  // a key a bin, so short is the text
  for (Pos k = 0; k < kPrompt; ++k) {
    expect_code(fine.code(static_cast<double>(bins[static_cast<std::size_t>(2 * 40 + k)])), weight(2, kPrompt - 1, k),
                fine);
    expect_code(fine.code(static_cast<double>(bins[static_cast<std::size_t>((kHeads + 2) * 40 + k)])),
                (weight(2, kPrompt - 1, k) + weight(2, kPrompt, k)) / 2, fine);
  }
}

}  // namespace
}  // namespace saccade::app
