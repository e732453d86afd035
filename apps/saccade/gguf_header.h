#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace saccade::app {

/// Value types of GGUF, by their numbers in the file.
enum class GgufType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

/// One key and its value; texts point into the file's bytes.
struct GgufPair {
  std::string_view key;
  GgufType type = GgufType::u8;  ///< of the value, or of the elements
  bool is_array = false;
  std::uint64_t count = 1;                   ///< elements of an array
  std::span<const std::byte> payload;        ///< the value's bytes; an array of strings keeps its length words
  std::string_view text;                     ///< a single string
  double number(std::uint64_t i = 0) const;  ///< a number or a bool; requires type != string and i < count
};

struct GgufTensor {
  std::string_view name;
  std::uint32_t n_dims = 0;
  std::uint64_t dims[4] = {1, 1, 1, 1};
  std::int32_t type = 0;     ///< ggml_type
  std::uint64_t offset = 0;  ///< from the start of the data section
  std::uint64_t bytes = 0;   ///< without padding
};

/// What a byte of the header is, for whoever wants to damage it on purpose.
enum class GgufField {
  kMagic,
  kVersion,
  kCount,
  kKeyLength,
  kKey,
  kValueType,
  kArrayCount,
  kStringLength,
  kText,
  kNumber,
  kNameLength,
  kName,
  kDimCount,
  kDim,
  kTensorType,
  kOffset,
  kPadding
};
struct GgufExtent {
  GgufField field;
  std::uint64_t begin, end;
  std::string_view of;  ///< the key or tensor it belongs to
};

struct GgufHeader {
  std::uint32_t version = 0;
  std::uint64_t alignment = 32;
  std::uint64_t data_begin = 0;  ///< where the data section starts
  std::vector<GgufPair> pairs;
  std::vector<GgufTensor> tensors;

  const GgufPair* find(std::string_view key) const;
  const GgufTensor* tensor(std::string_view name) const;
};

/// Reads header, key-value pairs and tensor table, and checks that each field is possible and that the tensors tile the
/// data section in order up to the end of the file. Trusts no byte; reads nothing outside `head`.
///
/// Requires  `head` is the beginning of a file of `file_bytes` bytes, at least up to the end of its tensor table
/// Errors    Fault::kUser, one line: place, rule, value
/// Cost      one pass over the header; nothing proportional to a count is allocated before the count is believed
/// Source    ggml/docs/gguf.md
GgufHeader read_gguf_header(std::span<const std::byte> head, std::uint64_t file_bytes,
                            std::vector<GgufExtent>* extents = nullptr);

/// Well-formed UTF-8: no overlong forms, no surrogates. `bad` is the offset of the first byte that is not.
bool is_utf8(std::string_view text, std::size_t* bad = nullptr);

}  // namespace saccade::app
