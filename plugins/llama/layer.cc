#include "plugins/llama/layer.h"

#include <charconv>
#include <cstring>
#include <string_view>

namespace saccade::llama {
namespace {

std::string_view name_of(const ggml_tensor* tensor) {
  return tensor == nullptr ? std::string_view{} : std::string_view(tensor->name, strnlen(tensor->name, GGML_MAX_NAME));
}

/// The number after the last `mark` of the first word of `name`, or -1.
int number_after(std::string_view name, std::string_view mark) {
  const std::string_view word = name.substr(0, name.find(' '));
  const std::size_t at = word.rfind(mark);
  if (at == std::string_view::npos) return -1;
  const char* const end = word.data() + word.size();
  int number = -1;
  const auto [stop, error] = std::from_chars(word.data() + at + mark.size(), end, number);
  return error == std::errc{} && stop == end && number >= 0 ? number : -1;
}

}  // namespace

int layer_of(const ggml_tensor& node) {
  int layer = number_after(name_of(&node), "-");
  if (layer < 0) layer = number_after(name_of(node.src[0]), "-");
  if (layer < 0 && name_of(node.src[1]).starts_with("cache_")) layer = number_after(name_of(node.src[1]), "_l");
  return layer;
}

}  // namespace saccade::llama
