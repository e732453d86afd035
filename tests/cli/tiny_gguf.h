#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace saccade::testing {

/// Writes a GGUF file into memory, field by field: just enough to damage it afterwards.
class GgufWriter {
 public:
  void pair(std::string_view key, std::uint32_t value) { head(key, 4), add(value), ++n_pairs_; }
  void pair(std::string_view key, float value) { head(key, 6), add(value), ++n_pairs_; }
  void pair(std::string_view key, bool value) { head(key, 7), add(static_cast<std::uint8_t>(value)), ++n_pairs_; }
  void pair(std::string_view key, std::string_view value) { head(key, 8), text(value), ++n_pairs_; }
  void pair(std::string_view key, const std::vector<std::string>& values) {
    head(key, 9), add(std::uint32_t{8}), add(std::uint64_t{values.size()}), ++n_pairs_;
    for (const auto& value : values) text(value);
  }
  void pair(std::string_view key, const std::vector<std::int32_t>& values) {
    head(key, 9), add(std::uint32_t{5}), add(std::uint64_t{values.size()}), ++n_pairs_;
    for (const auto value : values) add(value);
  }
  /// All tensors are f32 (type 0) unless a type of `block` elements in `block_bytes` bytes is named.
  void tensor(std::string_view name, const std::vector<std::uint64_t>& dims, std::uint32_t type = 0,
              std::uint64_t block = 1, std::uint64_t block_bytes = 4) {
    std::uint64_t bytes = block_bytes;
    for (const auto dim : dims) bytes *= dim;
    auto& to = tensors_;
    add_text(to, name), add(to, static_cast<std::uint32_t>(dims.size()));
    for (const auto dim : dims) add(to, dim);
    add(to, type), add(to, data_bytes_);
    data_bytes_ += (bytes / block + 31) / 32 * 32;
    ++n_tensors_;
  }
  std::string file() const {
    std::string out = "GGUF";
    add(out, std::uint32_t{3}), add(out, n_tensors_), add(out, n_pairs_);
    out += pairs_ + tensors_;
    out.resize((out.size() + 31) / 32 * 32 + data_bytes_, '\0');
    return out;
  }

 private:
  template <class T>
  static void add(std::string& to, T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    to.append(bytes, sizeof value);
  }
  static void add_text(std::string& to, std::string_view value) {
    add(to, std::uint64_t{value.size()});
    to += value;
  }
  template <class T>
  void add(T value) {
    add(pairs_, value);
  }
  void text(std::string_view value) { add_text(pairs_, value); }
  void head(std::string_view key, std::uint32_t type) { text(key), add(type); }

  std::string pairs_, tensors_;
  std::uint64_t n_pairs_ = 0, n_tensors_ = 0, data_bytes_ = 0;
};

}  // namespace saccade::testing
