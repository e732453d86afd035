// Any bytes as a model file: four bytes that say how much data follows the header, then the header. It is refused in
// one line, or the fields that were read cover the header without gaps.
#include <cstring>
#include <span>

#include "apps/saccade/gguf_header.h"
#include "apps/saccade/gguf_names.h"
#include "apps/saccade/model_file.h"
#include "tests/fuzz/fuzz.h"

namespace saccade::fuzz {
namespace {

void run(std::span<const std::byte> input) {
  std::uint32_t data_bytes = 0;
  if (input.size() < sizeof data_bytes) return;
  std::memcpy(&data_bytes, input.data(), sizeof data_bytes);
  const auto head = input.subspan(sizeof data_bytes);
  passes([&] {
    std::vector<app::GgufExtent> extents;
    const app::GgufHeader header = app::read_gguf_header(head, head.size() + data_bytes, &extents);
    std::uint64_t at = 0;
    for (const app::GgufExtent& extent : extents) {
      require(extent.begin == at && extent.end >= at, "extents cover the header without gaps");
      at = extent.end;
    }
    require(at == header.data_begin, "extents end where the data begins");
    const app::ModelFacts facts = app::check_model(header);
    require(facts.n_layers > 0 && facts.n_heads > 0, "a model that passes has layers and heads");
  });
}

}  // namespace
}  // namespace saccade::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  saccade::fuzz::run(std::as_bytes(std::span(data, size)));
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  static const std::vector<std::string> words = [] {
    std::vector<std::string> all{"GGUF"};
    for (const auto& known : saccade::app::kKeys) all.emplace_back(known.name);
    for (const auto& known : saccade::app::kArchKeys) all.emplace_back(known.name);
    for (const char* name : {"blk.0.attn_q.weight", "blk.1.ffn_up.weight", "token_embd.weight"}) all.emplace_back(name);
    return all;
  }();
  return saccade::fuzz::mutate(data, size, max_size, seed, words);
}
