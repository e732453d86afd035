// The headers of the real models, damaged byte by byte: our own check refuses each, with one line, before llama.cpp
// would see the file.
#include "tests/cli/damage.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

namespace saccade {
namespace {

using app::GgufField;
using testing::refusal;

std::string path_of(const std::string& name) {
  std::FILE* pipe = ::popen((SACCADE_SCRIPTS "/model " + name).c_str(), "r");
  char line[4096] = "";
  if (pipe == nullptr || std::fgets(line, sizeof line, pipe) == nullptr) line[0] = '\0';
  if (pipe != nullptr) ::pclose(pipe);
  std::string path = line;
  while (!path.empty() && path.back() == '\n') path.pop_back();
  return path;
}

struct RealModel {
  std::string head;  ///< up to the data section
  std::uint64_t file_bytes = 0;
  std::string architecture;
  std::vector<app::GgufExtent> extents;
};

RealModel read(const std::string& name) {
  RealModel model;
  const auto path = path_of(name);
  if (path.empty()) throw std::runtime_error("scripts/model " + name + " failed");
  model.file_bytes = std::filesystem::file_size(path);
  std::ifstream file(path, std::ios::binary);
  std::string bytes(std::min<std::uint64_t>(model.file_bytes, 64U << 20), '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  const auto header = app::read_gguf_header(std::as_bytes(std::span(bytes)), model.file_bytes);
  model.architecture = app::check_model(header).architecture;
  model.head = bytes.substr(0, header.data_begin);
  app::read_gguf_header(std::as_bytes(std::span(model.head)), model.file_bytes, &model.extents);
  return model;
}

class RealHeader : public ::testing::TestWithParam<const char*> {};

TEST_P(RealHeader, EveryByteOfItsStructureCounts) {
  RealModel model = read(GetParam());
  ASSERT_EQ(refusal(model.head, model.file_bytes), std::nullopt);
  std::uint64_t n_tried = 0, n_in_arrays = 0;
  for (const auto& extent : model.extents) {
    if (testing::is_value(extent)) continue;
    // The vocabulary alone has some 300,000 length words: every 997th stands for all.
    const bool in_array = extent.field == GgufField::kStringLength && extent.of.starts_with("tokenizer.ggml.");
    if (in_array && n_in_arrays++ % 997 != 0) continue;
    for (auto at = extent.begin; at < extent.end; ++at) {
      const char whole = model.head[at];
      // Of a tensor's fields one bit a byte, another one each time; of the rest every bit.
      const bool table = extent.field >= GgufField::kNameLength || in_array;
      for (int bit = table ? static_cast<int>(at % 8) : 0; bit < 8; bit += table ? 8 : 1) {
        const auto damaged = static_cast<char>(whole ^ (1 << bit));
        model.head[at] = whole;
        if (testing::is_harmless(extent, model.head, at, damaged, model.architecture)) continue;
        model.head[at] = damaged;
        ++n_tried;
        EXPECT_NE(refusal(model.head, model.file_bytes), std::nullopt)
            << "field " << int(extent.field) << " of '" << extent.of << "', byte " << at - extent.begin << ", bit "
            << bit;
      }
      model.head[at] = whole;
    }
  }
  EXPECT_GT(n_tried, 10'000U);
}

TEST_P(RealHeader, EveryBitOfWhatTheTensorsKnowCounts) {
  RealModel model = read(GetParam());
  const auto is_known = [&](std::string_view key) {
    for (const auto* name : {"block_count", "embedding_length", "feed_forward_length", "attention.head_count",
                             "attention.head_count_kv", "attention.key_length", "attention.value_length"})
      if (key == model.architecture + "." + name) return true;
    return false;
  };
  int n_known = 0;
  for (const auto& extent : model.extents) {
    if (extent.field != GgufField::kNumber || !is_known(extent.of)) continue;
    ++n_known;
    for (auto at = extent.begin; at < extent.end; ++at) {
      const char whole = model.head[at];
      for (int bit = 0; bit < 8; ++bit) {
        model.head[at] = static_cast<char>(whole ^ (1 << bit));
        EXPECT_NE(refusal(model.head, model.file_bytes), std::nullopt)
            << extent.of << " byte " << at - extent.begin << " bit " << bit;
      }
      model.head[at] = whole;
    }
  }
  EXPECT_GE(n_known, 5);
}

TEST_P(RealHeader, ACutFileIsRefused) {
  const RealModel model = read(GetParam());
  const auto cut = [&](std::uint64_t n) {
    const auto head = std::string_view(model.head).substr(0, std::min<std::uint64_t>(n, model.head.size()));
    EXPECT_NE(refusal(head, n), std::nullopt) << n << " of " << model.file_bytes;
  };
  for (std::size_t i = 0; i < model.extents.size(); i += i < 200 ? 1 : 2003)
    cut(model.extents[i].begin), cut(model.extents[i].end - 1);
  for (std::uint64_t i = 0; i < 500; ++i) cut(model.head.size() + (model.file_bytes - model.head.size()) / 500 * i);
  cut(model.file_bytes - 1 - 32);
}

INSTANTIATE_TEST_SUITE_P(Models, RealHeader,
                         ::testing::Values("gemma3-270m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
                           return name;
                         });

}  // namespace
}  // namespace saccade
