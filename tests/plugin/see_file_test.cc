// SACCADE_SEE's file: what it holds against the definitions in fp64, when it is written, and what is said when it
// cannot be.

#include "plugins/llama/see_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/laws/see_laws.h"
#include "tests/plugin/attention_case.h"
#include "tests/plugin/prompt.h"
#include "tests/support/error_line.h"

namespace saccade::testing {
namespace {

using Json = nlohmann::json;
using llama::SeeFile;

class See : public ::testing::Test {
 protected:
  ~See() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ + "/see.json"; }
  Json read() const { return Json::parse(std::ifstream(path())); }
  std::size_t n_files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }
  SeeFile::Warn warn() {
    return [this](const std::string& line) { lines_.push_back(line); };
  }
  /// As a scheduler asks before it computes.
  static void plan(ggml_backend_t backend, int layer) {
    AttentionGraph graph({.n_heads = 2, .q_len = 32, .kv_len = 32});
    ggml_set_name(graph.node(), ("__fattn__-" + std::to_string(layer)).c_str());
    ASSERT_TRUE(ggml_backend_supports_op(backend, graph.node()));
  }

  std::string folder_ = [] {
    std::string name = ::testing::TempDir() + "saccade_see_XXXXXX";
    return std::string(mkdtemp(name.data()));
  }();
  std::vector<std::string> lines_;
};

constexpr const char* kNumbers[] = {"lse",      "largest",          "norm", "entropy",  "relative_entropy",
                                    "distance", "clipped_distance", "self", "previous", "first"};

/// The statistics of one row of weights: what the file's fields mean.
template <class T>
std::array<T, std::size(kNumbers)> define_row(const DenseMap<T>& map, Pos head, Pos query, const oracle::Row<T>& row) {
  const Pos q_pos = map.q_pos(query);
  T entropy = 0, distance = 0, clipped = 0, largest = 0, squares = 0;
  for (const T o : row.o) squares += o * o;
  for (Pos key = 0; key <= q_pos; ++key) {
    const T weight = map.at(head, query, key), back = static_cast<T>(q_pos - key);
    if (weight > 0) entropy -= weight * std::log(weight);
    largest = std::max(largest, weight);
    distance += weight * back;
    clipped += weight * std::min<T>(back, 10);
  }
  const T most = std::log(static_cast<T>(q_pos + 1));
  const T previous = q_pos > 0 ? map.at(head, query, q_pos - 1) : 0;
  return {row.lse,
          row.lse + std::log(largest),
          std::sqrt(squares),
          entropy,
          q_pos > 0 ? entropy / most : 0,
          distance,
          clipped,
          map.at(head, query, q_pos),
          previous,
          map.at(head, query, 0)};
}

/// Means over all queries of the map, a group a number and head.
template <class T>
Groups<T> define(const DenseMap<T>& map, const oracle::Inputs& in) {
  const auto all = [](Pos q_pos, Pos k_pos) { return k_pos <= q_pos; };
  const auto same = [](auto score) { return score; };
  const auto n = static_cast<T>(map.q_len);
  Groups<T> groups;
  for (Pos head = 0; head < map.n_heads; ++head) {
    std::array<T, std::size(kNumbers)> means = {};
    for (Pos query = 0; query < map.q_len; ++query) {
      const auto row = define_row(map, head, query, oracle::attend_row<T>(in, query, head, all, same));
      for (std::size_t i = 0; i < row.size(); ++i) means[i] += row[i] / n;
    }
    for (std::size_t i = 0; i < means.size(); ++i) {
      const double size = i == 5 ? static_cast<double>(map.kv_len) : 10.0;  // the largest there can be, or more
      groups.push_back({kNumbers[i], {means[i]}, size});
    }
  }
  return groups;
}

void expect_means(const Json& group, const Prompt& prompt, Range queries) {
  const oracle::Inputs in = prompt.inputs(queries);
  Groups<float> actual;
  for (Pos head = 0; head < in.n_heads; ++head) {
    for (const char* name : kNumbers)
      actual.push_back({name, {group.at(name).at(static_cast<std::size_t>(head)).get<float>()}});
  }
  const auto visible = [](Pos, Pos q_pos, Pos k_pos) { return k_pos <= q_pos; };
  const auto map_of = [&](Pos order) { return dense_map<float>(in, visible, 0.0F, order); };
  const auto define_all = [&](const auto& map) { return define(map, in); };
  EXPECT_TRUE(judge_statistic(actual, dense_map<double>(in, visible, 0.0F), map_of, define_all));
}

/// Shares of the 16 keys that the file names.
void expect_top_keys(const Json& top, const Prompt& prompt, Range queries) {
  const oracle::Inputs in = prompt.inputs(queries);
  const auto visible = [](Pos, Pos q_pos, Pos k_pos) { return k_pos <= q_pos; };
  const auto shares = [&]<class T>(const DenseMap<T>& map) {
    Group<T> group{.name = "share", .values = {}};
    std::vector<T> columns(static_cast<std::size_t>(map.kv_len));
    for (Pos head = 0; head < map.n_heads; ++head) {
      for (Pos query = 0; query < map.q_len; ++query) {
        for (Pos key = 0; key < map.kv_len; ++key)
          columns[static_cast<std::size_t>(key)] +=
              map.at(head, query, key) / static_cast<T>(map.q_len) / static_cast<T>(map.n_heads);
      }
    }
    for (const Json& key : top) group.values.push_back(columns.at(key["position"].get<std::size_t>()));
    return Groups<T>{group};
  };
  Group<float> actual{.name = "share", .values = {}};
  for (const Json& key : top) actual.values.push_back(key["share"].get<float>());
  EXPECT_EQ(top.size(), 16U);
  EXPECT_TRUE(std::ranges::is_sorted(actual.values, std::greater<>()));
  const auto map_of = [&](Pos order) { return dense_map<float>(in, visible, 0.0F, order); };
  EXPECT_TRUE(judge_statistic({actual}, dense_map<double>(in, visible, 0.0F), map_of, shares));
}

TEST_F(See, HoldsTheMeansOfATextsProbes) {
  const Prompt prompt({}, 21);
  ggml_backend_t ours = our_backend("dense", 2);
  {
    SeeFile file(path(), std::string(SeeFile::kDefault) + "+column_sums", warn());
    for (const Range queries : {Range{0, 100}, Range{100, 200}, Range{200, 201}}) prompt.run(ours, queries);
  }
  const Json seen = read();
  EXPECT_EQ(seen["format"], 1);
  ASSERT_EQ(seen["layers"].size(), 1U);
  const Json& layer = seen["layers"][0];
  EXPECT_EQ(layer["layer"], 3);
  EXPECT_EQ(layer["window"], 0);
  EXPECT_EQ(layer["queries_not_seen"], 0);
  EXPECT_EQ(layer["prompt"]["queries"], 200);
  EXPECT_EQ(layer["answer"]["queries"], 1);
  expect_means(layer["prompt"], prompt, {0, 200});
  expect_means(layer["answer"], prompt, {200, 201});
  expect_top_keys(layer["top_keys"], prompt, {0, 201});
  EXPECT_TRUE(lines_.empty());
}

TEST_F(See, IsWrittenWhenAPromptEndsAndForgetsThePreviousText) {
  const Prompt prompt({}, 22);
  ggml_backend_t ours = our_backend("dense", 2);
  SeeFile file(path(), SeeFile::kDefault, warn());
  EXPECT_EQ(n_files(), 0U);
  plan(ours, prompt.shape().layer);
  prompt.run(ours, {0, 64});
  EXPECT_EQ(read()["layers"][0]["prompt"]["queries"], 64);
  prompt.run(ours, {64, 128});
  EXPECT_EQ(read()["layers"][0]["prompt"]["queries"], 128);
  prompt.run(ours, {128, 129});
  prompt.run(ours, {0, 32});
  EXPECT_EQ(read()["layers"][0]["prompt"]["queries"], 32);
  EXPECT_EQ(read()["layers"][0]["answer"]["queries"], 0);
  EXPECT_EQ(n_files(), 1U) << "no draft stays";
}

TEST_F(See, CountsWhatItCannotSee) {
  ggml_backend_t ours = our_backend("dense", 2);
  {
    SeeFile file(path(), SeeFile::kDefault, warn());
    const Prompt prompt({}, 23);
    prompt.run(ours, {0, 32});
    AttentionGraph graph({.n_heads = 4, .n_kv_heads = 2, .q_len = 20, .kv_len = 64, .mask = MaskKind::kTwoSequences});
    ggml_set_name(graph.node(), "__fattn__-3");
    graph.run(ours);
  }
  EXPECT_EQ(read()["layers"][0]["queries_not_seen"], 20);
  EXPECT_EQ(read()["layers"][0]["prompt"]["queries"], 32);
}

TEST_F(See, BadInputIsOneLine) {
  EXPECT_EQ(error_line([&] { SeeFile(path(), "entropi", warn()); }),
            "unknown probe \"entropi\"; did you mean \"entropy\"?");
  EXPECT_EQ(error_line([&] { SeeFile(folder_ + "/none/see.json", "norms", warn()); }),
            "the machine's: cannot write " + folder_ + "/none/see.json: No such file or directory");
}

TEST_F(See, AFileThatCanNoLongerBeWrittenEndsTheLooking) {
  const Prompt prompt({}, 24);
  ggml_backend_t ours = our_backend("dense", 2);
  const std::vector<float> alone = prompt.run(ours, {0, 64});
  SeeFile file(path(), SeeFile::kDefault, warn());
  plan(ours, prompt.shape().layer);
  std::filesystem::create_directory(path());  // a file cannot take its place
  EXPECT_EQ(prompt.run(ours, {0, 64}), alone);
  EXPECT_EQ(prompt.run(ours, {0, 64}), alone);
  EXPECT_EQ(lines_, std::vector<std::string>{"cannot write " + path() + ": Is a directory"});
  EXPECT_EQ(n_files(), 1U);
}

}  // namespace
}  // namespace saccade::testing
