// Our own check of a model file, before llama.cpp sees it: every damaged field is refused with one line.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tests/cli/damage.h"
#include "tests/cli/tiny_gguf.h"

namespace saccade {
namespace {

using app::GgufField;
using testing::GgufWriter;
using testing::refusal;

/// Two layers, 64 channels, 4 heads of 16 on 2 key heads, 10 tokens.
GgufWriter tiny(std::string_view skipped_key = "") {
  GgufWriter w;
  const auto pair = [&](std::string_view key, const auto& value) {
    if (key != skipped_key) w.pair(key, value);
  };
  pair("general.architecture", std::string_view("llama"));
  pair("general.author", std::string_view("nobody reads this"));
  pair("llama.block_count", 2U);
  pair("llama.context_length", 4096U);
  pair("llama.embedding_length", 64U);
  pair("llama.feed_forward_length", 96U);
  pair("llama.attention.head_count", 4U);
  pair("llama.attention.head_count_kv", 2U);
  pair("llama.attention.key_length", 16U);
  pair("llama.attention.value_length", 16U);
  pair("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  pair("llama.rope.dimension_count", 16U);
  pair("llama.rope.freq_base", 10000.0F);
  pair("tokenizer.ggml.model", std::string_view("llama"));
  pair("tokenizer.ggml.tokens", std::vector<std::string>{"<unk>", "<s>", "</s>", "a", "b", "c", "d", "e", "f", "gh"});
  pair("tokenizer.ggml.token_type", std::vector<std::int32_t>{2, 3, 3, 1, 1, 1, 1, 1, 1, 1});
  pair("tokenizer.ggml.bos_token_id", 1U);
  pair("tokenizer.ggml.add_bos_token", true);
  w.tensor("token_embd.weight", {64, 10});
  for (const std::string blk : {"blk.0.", "blk.1."}) {
    w.tensor(blk + "attn_norm.weight", {64});
    w.tensor(blk + "attn_q.weight", {64, 64}, 8, 32, 34);  // q8_0
    w.tensor(blk + "attn_k.weight", {64, 32});
    w.tensor(blk + "attn_v.weight", {64, 32});
    w.tensor(blk + "attn_output.weight", {64, 64});
    w.tensor(blk + "ffn_norm.weight", {64});
    w.tensor(blk + "ffn_gate.weight", {64, 96});
    w.tensor(blk + "ffn_up.weight", {64, 96});
    w.tensor(blk + "ffn_down.weight", {96, 64});
  }
  w.tensor("output_norm.weight", {64});
  return w;
}

std::vector<app::GgufExtent> extents_of(const std::string& file) {
  std::vector<app::GgufExtent> extents;
  app::read_gguf_header(std::as_bytes(std::span(file)), file.size(), &extents);
  return extents;
}

TEST(Gguf, AWholeFilePasses) {
  const auto file = tiny().file();
  EXPECT_EQ(refusal(file, file.size()), std::nullopt);
  const auto header = app::read_gguf_header(std::as_bytes(std::span(file)), file.size());
  const auto facts = app::check_model(header);
  EXPECT_EQ(facts.architecture, "llama");
  EXPECT_EQ(facts.n_layers, 2);
  EXPECT_EQ(facts.n_heads, 4);
  EXPECT_EQ(facts.n_ctx_train, 4096);
}

TEST(Gguf, TheExtentsCoverTheHeaderWithoutGaps) {
  const auto file = tiny().file();
  std::uint64_t at = 0;
  for (const auto& extent : extents_of(file)) {
    ASSERT_EQ(extent.begin, at);
    at = extent.end;
  }
  EXPECT_EQ(at, app::read_gguf_header(std::as_bytes(std::span(file)), file.size()).data_begin);
}

TEST(Gguf, EveryBitOfTheStructureCounts) {
  const auto file = tiny().file();
  int n_damaged = 0;
  for (const auto& extent : extents_of(file)) {
    if (testing::is_value(extent)) continue;
    for (auto at = extent.begin; at < extent.end; ++at) {
      for (const int flip : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
        std::string damaged = file;
        damaged[at] = static_cast<char>(damaged[at] ^ flip);
        if (testing::is_harmless(extent, file, at, damaged[at], "llama")) continue;
        ++n_damaged;
        EXPECT_NE(refusal(damaged, damaged.size()), std::nullopt)
            << "field " << int(extent.field) << " of '" << extent.of << "', byte " << at - extent.begin << ", flip "
            << flip;
      }
    }
  }
  EXPECT_GT(n_damaged, 10'000);
}

TEST(Gguf, EveryBitOfANumberThatTheTensorsKnowCounts) {
  const auto file = tiny().file();
  const std::vector<std::string> known{
      "llama.block_count",           "llama.embedding_length",        "llama.feed_forward_length",
      "llama.attention.head_count",  "llama.attention.head_count_kv", "llama.attention.key_length",
      "llama.attention.value_length"};
  std::size_t n_seen = 0;
  for (const auto& extent : extents_of(file)) {
    if (extent.field != GgufField::kNumber || std::ranges::find(known, extent.of) == known.end()) continue;
    ++n_seen;
    for (auto at = extent.begin; at < extent.end; ++at)
      for (int bit = 0; bit < 8; ++bit) {
        std::string damaged = file;
        damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
        EXPECT_NE(refusal(damaged, damaged.size()), std::nullopt)
            << extent.of << " byte " << at - extent.begin << " bit " << bit;
      }
  }
  EXPECT_EQ(n_seen, known.size());
}

TEST(Gguf, TheArchitectureAndTheTokenizerAreWordsWeKnow) {
  const auto file = tiny().file();
  for (const auto& extent : extents_of(file)) {
    if (extent.field != GgufField::kText ||
        (extent.of != "general.architecture" && extent.of != "tokenizer.ggml.model"))
      continue;
    for (auto at = extent.begin; at < extent.end; ++at)
      for (int bit = 0; bit < 8; ++bit) {
        std::string damaged = file;
        damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
        EXPECT_NE(refusal(damaged, damaged.size()), std::nullopt) << extent.of << " byte " << at - extent.begin;
      }
  }
}

TEST(Gguf, ImpossibleNumbersAreRefused) {
  const auto with = [](std::string_view key, auto value) {
    GgufWriter w = tiny(key);
    w.pair(key, value);
    const auto file = w.file();
    return refusal(file, file.size()).value_or("passed");
  };
  EXPECT_EQ(with("llama.context_length", 0U), "key 'llama.context_length': it must be 1 to 1073741824, got 0");
  EXPECT_EQ(with("llama.rope.freq_base", -1.0F),
            "key 'llama.rope.freq_base': it must be above 0 and at most 1000000000000, got -1");
  EXPECT_NE(with("llama.rope.freq_base", std::numeric_limits<float>::quiet_NaN()), "passed");
  EXPECT_NE(with("llama.attention.layer_norm_rms_epsilon", 1.0F), "passed");
  EXPECT_EQ(with("tokenizer.ggml.bos_token_id", 10U), "key 'tokenizer.ggml.bos_token_id': it must be below 10, got 10");
  EXPECT_NE(with("llama.rope.dimension_count", 15U), "passed");
  EXPECT_NE(with("general.alignment", 24U), "passed");
  EXPECT_NE(with("general.alignment", 0U), "passed");
  EXPECT_NE(with("split.count", 3U), "passed");
  EXPECT_NE(with("llama.block_count", std::string_view("two")), "passed");
}

TEST(Gguf, WhatIsMissingIsNamed) {
  for (const auto* key : {"general.architecture", "llama.block_count", "llama.embedding_length", "llama.context_length",
                          "llama.attention.head_count", "tokenizer.ggml.model", "tokenizer.ggml.tokens"}) {
    const auto file = tiny(key).file();
    EXPECT_EQ(refusal(file, file.size()), "key '" + std::string(key) + "' is missing");
  }
}

TEST(Gguf, NothingIsThereTwice) {
  GgufWriter keys = tiny();
  keys.pair("llama.block_count", 2U);
  auto file = keys.file();
  EXPECT_EQ(refusal(file, file.size()), "key 'llama.block_count' is there twice");
  GgufWriter tensors = tiny();
  tensors.tensor("blk.1.attn_q.weight", {64, 64});
  file = tensors.file();
  EXPECT_EQ(refusal(file, file.size()), "tensor 'blk.1.attn_q.weight' is there twice");
}

TEST(Gguf, AFileCutAnywhereIsRefused) {
  const auto file = tiny().file();
  const auto header_bytes = app::read_gguf_header(std::as_bytes(std::span(file)), file.size()).data_begin;
  for (std::size_t n = 0; n < file.size(); n += n < header_bytes ? 1 : 997) {
    ASSERT_NE(refusal(std::string_view(file).substr(0, n), n), std::nullopt) << n << " of " << file.size();
  }
  EXPECT_NE(refusal(file + std::string(64, '\0'), file.size() + 64), std::nullopt) << "and one that goes on";
}

TEST(Gguf, NoiseIsRefused) {
  std::uint64_t state = 7;
  for (int round = 0; round < 2000; ++round) {
    std::string noise = round % 2 == 0 ? "" : std::string("GGUF\3\0\0\0", 8);
    for (int i = 0; i < 200; ++i)
      noise += static_cast<char>((state = state * 6364136223846793005ULL + 1) >> 56 & (i % 8 < 2 ? 255 : 0));
    ASSERT_NE(refusal(noise, noise.size()), std::nullopt);
  }
}

TEST(Utf8, OnlyShortestFormsWithoutSurrogates) {
  EXPECT_TRUE(app::is_utf8("plain, \xC3\xA9, \xE2\x82\xAC, \xF0\x9F\x99\x82"));
  EXPECT_TRUE(app::is_utf8(""));
  for (const std::string_view bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
                                     "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3", "\xE2\x82", "\xC3\x28"}) {
    std::size_t at = 99;
    EXPECT_FALSE(app::is_utf8("ab" + std::string(bad), &at));
    EXPECT_EQ(at, 2U);
  }
}

}  // namespace
}  // namespace saccade
