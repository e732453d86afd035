#include "apps/saccade/inspect_pack.h"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "saccade/base/error.h"

namespace saccade::app {
namespace {

std::string_view name_of(Coding::Kind kind) {
  switch (kind) {
    case Coding::Kind::kLog2:
      return "log2";
    case Coding::Kind::kLog2OfMore:
      return "log2(1+x)";
    case Coding::Kind::kLinear:
      return "linear";
  }
  return "";
}

std::vector<std::uint8_t> deflated(std::span<const std::uint8_t> bytes) {
  std::vector<std::uint8_t> out(compressBound(bytes.size()));
  uLongf size = out.size();
  if (compress2(out.data(), &size, bytes.data(), bytes.size(), Z_BEST_COMPRESSION) != Z_OK)
    fail_machine("zlib: out of memory");
  out.resize(size);
  return out;
}

}  // namespace

std::uint8_t Coding::code(double x) const {
  if (!(x > 0)) return 0;
  const auto rounded = [](double at, double low) {
    return static_cast<std::uint8_t>(std::clamp(std::round(at), low, 255.0));
  };
  if (kind == Kind::kLog2) return x < least ? 0 : rounded(255 + steps * std::log2(x), 1);
  return rounded(steps * (kind == Kind::kLinear ? x : std::log2(1 + x)), 0);
}

std::string base64(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t three = 0;
    for (std::size_t j = 0; j < 3; ++j) three = three << 8 | (j < n ? bytes[i + j] : 0U);
    for (std::size_t j = 0; j < 4; ++j) text += j <= n ? kLetters[three >> (18 - 6 * j) & 63U] : '=';
  }
  return text;
}

nlohmann::ordered_json packed(std::span<const std::uint8_t> bytes, std::vector<std::int64_t> shape,
                              const Coding& coding) {
  return {{"shape", std::move(shape)},
          {"code", name_of(coding.kind)},
          {"steps", coding.steps},
          {"zlib", base64(deflated(bytes))}};
}

nlohmann::ordered_json packed(std::span<const float> numbers, std::vector<std::int64_t> shape, const Coding& coding) {
  std::vector<std::uint8_t> bytes(numbers.size());
  std::ranges::transform(numbers, bytes.begin(), [&](float x) { return coding.code(static_cast<double>(x)); });
  return packed(bytes, std::move(shape), coding);
}

}  // namespace saccade::app
